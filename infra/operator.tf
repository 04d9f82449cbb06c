# For the people and the CI that work with integrations: attach it to their role or group. AWS asks for both actions.
data "aws_iam_policy_document" "operator" {
  statement {
    sid       = "CallFunctionUrls"
    actions   = ["lambda:InvokeFunctionUrl"]
    resources = [for name in keys(local.signed_functions) : local.function_arns[name]]

    condition {
      test     = "StringEquals"
      variable = "lambda:FunctionUrlAuthType"
      values   = ["AWS_IAM"]
    }
  }

  statement {
    sid       = "InvokeThroughFunctionUrlsOnly"
    actions   = ["lambda:InvokeFunction"]
    resources = [for name in keys(local.signed_functions) : local.function_arns[name]]

    condition {
      test     = "Bool"
      variable = "lambda:InvokedViaFunctionUrl"
      values   = ["true"]
    }
  }
}

resource "aws_iam_policy" "operator" {
  name        = "${local.name}-operator"
  description = "Call the function URLs of Stackhook (${var.environment})"
  policy      = data.aws_iam_policy_document.operator.json
}

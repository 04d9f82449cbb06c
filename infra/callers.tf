# Who may call the signed URLs: attach a policy to the role or group of the people, the CI or the executor.
locals {
  callers = {
    operator = {
      description = "Call the function URLs of Stackhook (${var.environment})"
      functions   = sort(keys(local.signed_functions))
    }

    # What executes runs runs other people's code, so it can do nothing but show runs and report on them.
    executor = {
      description = "Report on runs of Stackhook (${var.environment})"
      functions   = ["runs"]
    }
  }
}

# AWS asks for both actions.
data "aws_iam_policy_document" "caller" {
  for_each = local.callers

  statement {
    sid       = "CallFunctionUrls"
    actions   = ["lambda:InvokeFunctionUrl"]
    resources = [for name in each.value.functions : local.function_arns[name]]

    condition {
      test     = "StringEquals"
      variable = "lambda:FunctionUrlAuthType"
      values   = ["AWS_IAM"]
    }
  }

  statement {
    sid       = "InvokeThroughFunctionUrlsOnly"
    actions   = ["lambda:InvokeFunction"]
    resources = [for name in each.value.functions : local.function_arns[name]]

    condition {
      test     = "Bool"
      variable = "lambda:InvokedViaFunctionUrl"
      values   = ["true"]
    }
  }
}

resource "aws_iam_policy" "caller" {
  for_each = local.callers

  name        = "${local.name}-${each.key}"
  description = each.value.description
  policy      = data.aws_iam_policy_document.caller[each.key].json
}

moved {
  from = aws_iam_policy.operator
  to   = aws_iam_policy.caller["operator"]
}

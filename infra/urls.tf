# NONE: Azure DevOps cannot sign for AWS. It sends the webhook password, which the function checks before anything else.
# No CORS on any URL: no browser calls them.
resource "aws_lambda_function_url" "webhook" {
  function_name      = module.webhook.name
  authorization_type = "NONE"
}

# A public URL answers 403 to everyone unless the function's policy has both of these statements. The first:
resource "aws_lambda_permission" "webhook_url" {
  statement_id           = "FunctionUrlIsPublic"
  function_name          = module.webhook.name
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "*"
  function_url_auth_type = aws_lambda_function_url.webhook.authorization_type
}

# The second: InvokeFunction, but through the URL only. Provider 5.100 cannot express the condition, and without it anyone
# could invoke the function past its URL, so CloudFormation says it.
resource "aws_cloudformation_stack" "webhook_invocation" {
  name = "${local.name}-webhook-invocation"

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Lets anyone invoke the webhook through its URL, and no other way"
    Resources = {
      Permission = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = module.webhook.arn
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    }
  })

  # Both change the policy of one function: one after the other.
  depends_on = [aws_lambda_permission.webhook_url]
}

# AWS_IAM: who may call is a matter of the account's own policies (callers.tf).
resource "aws_lambda_function_url" "signed" {
  for_each = local.signed_functions

  function_name      = module.function[each.key].name
  authorization_type = "AWS_IAM"
}

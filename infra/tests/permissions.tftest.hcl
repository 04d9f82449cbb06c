# Who may do what. The policies are the provider's own rendering (it needs no AWS for that), with ARNs that are made up.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_module {
  target          = module.webhook
  override_during = plan
  outputs = {
    name           = "stackhook-prod-webhook"
    arn            = "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-webhook"
    role_name      = "stackhook-prod-webhook"
    log_group_name = "/aws/lambda/stackhook-prod-webhook"
  }
}

variables {
  package_dir = "tests/packages"
}

run "roles" {
  command = plan

  # Said once more in full, so that a wider permission is never an oversight.
  assert {
    condition = { for name, function in local.functions : name => {
      for statement in jsondecode(function.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Action])))
      } } == {
      webhook = {
        ReadPasswordDigests = "dynamodb:GetItem"
        StoreDeliveries     = "dynamodb:PutItem"
      }
      setup = {
        KeepIntegrations = "dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem"
        ListIntegrations = "dynamodb:Query"
        KeepSecrets      = "secretsmanager:CreateSecret secretsmanager:DeleteSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue secretsmanager:RestoreSecret"
      }
      deliveries = {
        ReadDeliveries                        = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query"
        ListIntegrationsAndWhatWantsAttention = "dynamodb:Query"
      }
      stacks = {
        KeepStacks       = "dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem"
        ListStacks       = "dynamodb:Query"
        ReadIntegrations = "dynamodb:GetItem"
        ReadCredentials  = "secretsmanager:GetSecretValue"
      }
      unlink = {
        EndIntegrations           = "dynamodb:GetItem dynamodb:UpdateItem"
        ListStacksOfAnIntegration = "dynamodb:Query"
        DetachStacks              = "dynamodb:UpdateItem"
        RemoveSecrets             = "secretsmanager:DeleteSecret"
      }
    }
    error_message = "A function may do something else than what is listed here."
  }

  assert {
    condition = alltrue(flatten([for function in local.functions : [for statement in jsondecode(function.policy).Statement : [
      for resource in flatten([statement.Resource]) : contains([
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations/index/directory",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events/index/attention",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/directory",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/followers",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????",
      ], resource)
    ]]]))
    error_message = "A function may touch something else than this deployment's tables and secrets."
  }

  assert {
    condition = alltrue(flatten([for function in local.functions : [for statement in jsondecode(function.policy).Statement :
      statement.Effect == "Allow" && !can(statement.NotAction) && !can(statement.NotResource)
      && !strcontains(join(" ", flatten([statement.Action])), "*")
    ]]))
    error_message = "Exact actions only."
  }

  assert {
    condition     = !strcontains(local.functions.webhook.policy, "secret") && !strcontains(local.functions.deliveries.policy, "secretsmanager")
    error_message = "The function that faces the internet, and the one that shows what came from there, can read no secret."
  }
}

run "stacks" {
  command = plan

  assert {
    condition = [
      for statement in jsondecode(local.functions.stacks.policy).Statement : statement.Resource if statement.Sid == "ReadCredentials"
    ] == ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????"]
    error_message = "Whoever keeps stacks reads tokens, and no webhook password."
  }
}

run "webhook_url" {
  command = plan

  assert {
    condition = (
      aws_lambda_permission.webhook_url.action == "lambda:InvokeFunctionUrl"
      && aws_lambda_permission.webhook_url.principal == "*"
      && aws_lambda_permission.webhook_url.function_url_auth_type == "NONE"
    )
    error_message = "The URL's own permission is missing: it would answer 403 to everyone."
  }

  assert {
    condition = jsondecode(aws_cloudformation_stack.webhook_invocation.template_body).Resources == {
      Permission = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-webhook"
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    }
    error_message = "Anyone may invoke the webhook, but through its URL only."
  }
}

run "operator" {
  command = plan

  assert {
    condition = { for statement in jsondecode(aws_iam_policy.operator.policy).Statement : statement.Action => statement.Condition } == {
      "lambda:InvokeFunctionUrl" = { StringEquals = { "lambda:FunctionUrlAuthType" = "AWS_IAM" } }
      "lambda:InvokeFunction"    = { Bool = { "lambda:InvokedViaFunctionUrl" = "true" } }
    }
    error_message = "An operator needs both actions, through URLs that want a signature, and no others."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_policy.operator.policy).Statement :
      toset(statement.Resource) == toset([for name in ["deliveries", "setup", "stacks", "unlink"] : "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-${name}"])
    ])
    error_message = "An operator calls the signed functions, and no others."
  }
}

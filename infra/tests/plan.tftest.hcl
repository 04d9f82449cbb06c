# What is planned for a real account, and what is different on the local AWS.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/example" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:example" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://example.lambda-url.eu-west-1.on.aws/", url_id = "example" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/example" }
  }
}

variables {
  package_dir = "tests/packages"
}

run "tables" {
  command = plan

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.events, aws_dynamodb_table.integrations, aws_dynamodb_table.stacks] :
      table.billing_mode == "PAY_PER_REQUEST"
      && table.deletion_protection_enabled
      && table.point_in_time_recovery[0].enabled
      && table.hash_key == "pk" && table.range_key == "sk"
    ])
    error_message = "Every table is on demand, protected and recoverable."
  }

  assert {
    condition = alltrue([for table in [aws_dynamodb_table.events, aws_dynamodb_table.integrations] :
      table.ttl[0].enabled && table.ttl[0].attribute_name == "expires"
    ])
    error_message = "A table in which something ends forgets what has expired."
  }

  assert {
    condition = { for index in aws_dynamodb_table.stacks.global_secondary_index : index.name => "${index.hash_key} ${index.range_key}" } == {
      directory = "directory pk"
      followers = "linked follows"
    }
    error_message = "Stacks are listed by name, and found by what they follow."
  }

  assert {
    condition     = aws_dynamodb_table.events.stream_enabled && aws_dynamodb_table.events.stream_view_type == "NEW_IMAGE"
    error_message = "What becomes of a delivery follows from the stream of its table."
  }

  assert {
    condition = (
      one(aws_dynamodb_table.integrations.global_secondary_index).projection_type == "INCLUDE"
      && length(regexall("digest|password|secret|nonce", join(" ", one(aws_dynamodb_table.integrations.global_secondary_index).non_key_attributes))) == 0
    )
    error_message = "The list of integrations must not have what passwords are compared with."
  }
}

run "functions" {
  command = plan

  assert {
    condition     = local.functions.webhook.timeout > 5
    error_message = "The webhook answers 503 by itself within 5 s; Lambda must not end it before."
  }

  assert {
    condition = alltrue(flatten([for name, function in local.functions : [for variable in keys(function.environment) :
      contains(["INTEGRATIONS_TABLE", "EVENTS_TABLE", "STACKS_TABLE", "EVENT_RETENTION_DAYS", "SECRET_PREFIX", "SECRET_RECOVERY_DAYS", "AZURE_DEVOPS_URL", "INTEGRATION_CACHE_SECONDS", "LOOKUP_REST_SECONDS"], variable)
    ]]))
    error_message = "An environment has names and numbers, never a secret; a new variable is to be listed here."
  }

  assert {
    condition     = !can(local.functions.webhook.environment["SECRET_PREFIX"])
    error_message = "The webhook is not even told where secrets are."
  }
}

run "urls" {
  assert {
    condition     = aws_lambda_function_url.webhook.authorization_type == "NONE"
    error_message = "Azure DevOps cannot sign for AWS."
  }

  assert {
    condition     = toset(keys(aws_lambda_function_url.signed)) == toset(["deliveries", "setup", "stacks", "unlink"]) && alltrue([for url in aws_lambda_function_url.signed : url.authorization_type == "AWS_IAM"])
    error_message = "Every URL but the webhook's wants a signature."
  }

  assert {
    condition     = alltrue([for url in concat([aws_lambda_function_url.webhook], values(aws_lambda_function_url.signed)) : length(url.cors) == 0])
    error_message = "No browser calls them."
  }

  assert {
    condition     = local.webhook_url == "https://example.lambda-url.eu-west-1.on.aws"
    error_message = "The webhook endpoint begins with the function's URL, without the slash at its end."
  }

  assert {
    condition     = output.urls.webhook == local.webhook_url && toset(keys(output.urls)) == toset(keys(local.functions))
    error_message = "Every function's URL is an output."
  }
}

run "alarms" {
  variables {
    alarm_topic_arns = ["arn:aws:sns:eu-west-1:123456789012:operations"]
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.function)) == toset(flatten([for name in keys(local.functions) : ["${name}-errors", "${name}-throttles"]]))
    error_message = "Every function has an alarm on errors and one on throttles."
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.delivery)) == toset(["unavailable", "refused", "quarantined", "oversize", "beside", "withheld", "failures"])
    error_message = "Each outcome that a person should know of has an alarm."
  }

  assert {
    condition = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.delivery :
      alarm.metric_name == one(aws_cloudwatch_log_metric_filter.delivery[key].metric_transformation).name
      && alarm.namespace == one(aws_cloudwatch_log_metric_filter.delivery[key].metric_transformation).namespace
    ])
    error_message = "An alarm must watch what its filter counts."
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.function), values(aws_cloudwatch_metric_alarm.delivery)) : alarm.alarm_actions == toset(var.alarm_topic_arns)])
    error_message = "Every alarm tells the topics."
  }
}

run "on_the_local_aws" {
  variables {
    local_endpoint      = "http://127.0.0.1:4566"
    azure_devops_url    = "http://127.0.0.1:8080"
    deletion_protection = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.function) + length(aws_cloudwatch_metric_alarm.delivery) + length(aws_cloudwatch_log_metric_filter.delivery) == 0
    error_message = "The local AWS cannot hold alarms."
  }

  assert {
    condition     = local.webhook_url == "http://127.0.0.1:4566/_aws/lambda-url/example"
    error_message = "Locally the webhook answers at a path."
  }

  assert {
    condition     = !aws_dynamodb_table.events.deletion_protection_enabled
    error_message = "A local stack is thrown away."
  }
}

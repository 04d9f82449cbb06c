# modules/function by itself: what every function has, and what the module refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/example" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/example" }
  }
}

variables {
  account_id         = "123456789012"
  name               = "example"
  description        = "An example"
  package            = "tests/packages/webhook.zip"
  architecture       = "arm64"
  memory             = 256
  timeout            = 10
  environment        = { TABLE = "example" }
  policy             = "{}"
  log_level          = "INFO"
  log_retention_days = 30
}

run "has_what_every_function_has" {
  module { source = "./modules/function" }

  assert {
    condition = (
      aws_lambda_function.this.runtime == "provided.al2023"
      && aws_lambda_function.this.architectures == tolist(["arm64"])
      && aws_lambda_function.this.source_code_hash == filebase64sha256("tests/packages/webhook.zip")
    )
    error_message = "The function must run the zip that it was given, on its architecture."
  }

  assert {
    condition = (
      one(aws_lambda_function.this.logging_config).log_format == "JSON"
      && one(aws_lambda_function.this.logging_config).system_log_level == "WARN"
      && one(aws_lambda_function.this.logging_config).log_group == aws_cloudwatch_log_group.this.name
    )
    error_message = "Logs must be JSON, without START, END and REPORT, in the function's own group."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "Logs must be deleted some day."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "No concurrency is reserved by default."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.trust.statement[0].condition).variable == "aws:SourceAccount"
    error_message = "Lambda may take on the role for this account only."
  }

  assert {
    condition = (
      data.aws_iam_policy_document.logs.statement[0].actions == toset(["logs:CreateLogStream", "logs:PutLogEvents"])
      && data.aws_iam_policy_document.logs.statement[0].resources == toset(["${aws_cloudwatch_log_group.this.arn}:*"])
    )
    error_message = "A function may write to its own log group, and to no other."
  }

  assert {
    condition     = aws_iam_role_policy.permissions.policy == var.policy
    error_message = "A function may do what it was given, nothing else."
  }
}

run "can_be_turned_off" {
  command = plan
  module { source = "./modules/function" }
  variables { reserved_concurrency = 0 }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 0
    error_message = "0 is a ceiling, not the absence of one."
  }
}

run "refuses_a_name_that_no_role_can_have" {
  command = plan
  module { source = "./modules/function" }
  variables { name = "no spaces" }
  expect_failures = [var.name]
}

run "refuses_an_account_that_is_none" {
  command = plan
  module { source = "./modules/function" }
  variables { account_id = "me" }
  expect_failures = [var.account_id]
}

run "refuses_a_description_that_is_too_long" {
  command = plan
  module { source = "./modules/function" }
  variables { description = join("", [for _ in range(257) : "x"]) }
  expect_failures = [var.description]
}

run "refuses_a_zip_that_is_not_there" {
  command = plan
  module { source = "./modules/function" }
  variables { package = "tests/packages/nowhere.zip" }
  expect_failures = [var.package]
}

run "refuses_another_architecture" {
  command = plan
  module { source = "./modules/function" }
  variables { architecture = "riscv64" }
  expect_failures = [var.architecture]
}

run "refuses_too_little_memory" {
  command = plan
  module { source = "./modules/function" }
  variables { memory = 64 }
  expect_failures = [var.memory]
}

run "refuses_a_timeout_beyond_lambdas" {
  command = plan
  module { source = "./modules/function" }
  variables { timeout = 901 }
  expect_failures = [var.timeout]
}

run "refuses_an_environment_beyond_lambdas" {
  command = plan
  module { source = "./modules/function" }
  variables { environment = { TABLE = join("", [for _ in range(820) : "12345"]) } }
  expect_failures = [var.environment]
}

run "refuses_a_policy_that_is_no_json" {
  command = plan
  module { source = "./modules/function" }
  variables { policy = "everything" }
  expect_failures = [var.policy]
}

run "refuses_a_negative_ceiling" {
  command = plan
  module { source = "./modules/function" }
  variables { reserved_concurrency = -1 }
  expect_failures = [var.reserved_concurrency]
}

run "refuses_an_unknown_log_level" {
  command = plan
  module { source = "./modules/function" }
  variables { log_level = "LOUD" }
  expect_failures = [var.log_level]
}

run "refuses_logs_that_are_kept_for_ever" {
  command = plan
  module { source = "./modules/function" }
  variables { log_retention_days = 0 }
  expect_failures = [var.log_retention_days]
}

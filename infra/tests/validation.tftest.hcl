# What each variable refuses.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  package_dir = "tests/packages"
}

run "region" {
  command = plan
  variables { region = "Ireland" }
  expect_failures = [var.region]
}

run "environment_with_a_capital" {
  command = plan
  variables { environment = "Prod" }
  expect_failures = [var.environment]
}

run "environment_that_outgrows_names" {
  command = plan
  variables { environment = "a-name-of-twenty-five-chars" }
  expect_failures = [var.environment]
}

run "tags_that_are_set_here" {
  command = plan
  variables { tags = { Application = "mine" } }
  expect_failures = [var.tags]
}

run "tags_of_aws" {
  command = plan
  variables { tags = { "aws:owner" = "me" } }
  expect_failures = [var.tags]
}

run "schedule_of_days" {
  command = plan
  variables { reconcile_schedule = "rate(1 day)" }
  expect_failures = [var.reconcile_schedule]
}

run "schedule_that_outlasts_the_alarm" {
  command = plan
  variables { reconcile_schedule = "rate(31 minutes)" }
  expect_failures = [var.reconcile_schedule]
}

run "schedule_without_a_pause" {
  command = plan
  variables { reconcile_schedule = "rate(0 minutes)" }
  expect_failures = [var.reconcile_schedule]
}

run "schedule_in_the_singular" {
  command = plan
  variables { reconcile_schedule = "rate(1 minutes)" }
  expect_failures = [var.reconcile_schedule]
}

run "schedules_that_are_good" {
  command = plan
  variables { reconcile_schedule = "rate(1 minute)" }
}

run "schedule_at_the_edge" {
  command = plan
  variables { reconcile_schedule = "rate(30 minutes)" }
}

run "calls_too_few_for_a_pass" {
  command = plan
  variables { reconcile_calls_per_pass = 24 }
  expect_failures = [var.reconcile_calls_per_pass]
}

run "calls_too_many_for_a_pass" {
  command = plan
  variables { reconcile_calls_per_pass = 1001 }
  expect_failures = [var.reconcile_calls_per_pass]
}

run "calls_in_parts" {
  command = plan
  variables { reconcile_calls_per_pass = 99.5 }
  expect_failures = [var.reconcile_calls_per_pass]
}

run "package_dir" {
  command = plan
  variables { package_dir = "" }
  expect_failures = [var.package_dir]
}

run "architecture" {
  command = plan
  variables { architecture = "riscv64" }
  expect_failures = [var.architecture]
}

run "azure_devops_url_in_the_clear" {
  command = plan
  variables { azure_devops_url = "http://dev.azure.com" }
  expect_failures = [var.azure_devops_url]
}

run "azure_devops_url_with_a_path" {
  command = plan
  variables { azure_devops_url = "https://dev.azure.com/fabrikam" }
  expect_failures = [var.azure_devops_url]
}

run "azure_devops_url_with_a_user" {
  command = plan
  variables { azure_devops_url = "https://me@dev.azure.com" }
  expect_failures = [var.azure_devops_url]
}

run "event_retention_days" {
  command = plan
  variables { event_retention_days = 6 }
  expect_failures = [var.event_retention_days]
}

run "event_retention_days_in_halves" {
  command = plan
  variables { event_retention_days = 7.5 }
  expect_failures = [var.event_retention_days]
}

run "run_retention_days" {
  command = plan
  variables { run_retention_days = 29 }
  expect_failures = [var.run_retention_days]
}

run "run_retention_days_beyond_ten_years" {
  command = plan
  variables { run_retention_days = 3651 }
  expect_failures = [var.run_retention_days]
}

run "run_retention_days_in_halves" {
  command = plan
  variables { run_retention_days = 30.5 }
  expect_failures = [var.run_retention_days]
}

run "secret_recovery_days" {
  command = plan
  variables { secret_recovery_days = 3 }
  expect_failures = [var.secret_recovery_days]
}

run "log_level_that_blinds_the_alarms" {
  command = plan
  variables { log_level = "WARN" }
  expect_failures = [var.log_level]
}

run "log_retention_days" {
  command = plan
  variables { log_retention_days = 31 }
  expect_failures = [var.log_retention_days]
}

run "webhook_reserved_concurrency" {
  command = plan
  variables { webhook_reserved_concurrency = 5 }
  expect_failures = [var.webhook_reserved_concurrency]
}

run "alarm_topic_arns" {
  command = plan
  variables { alarm_topic_arns = ["ops@example.com"] }
  expect_failures = [var.alarm_topic_arns]
}

run "local_endpoint_elsewhere" {
  command = plan
  variables { local_endpoint = "http://10.0.0.1:4566" }
  expect_failures = [var.local_endpoint]
}

run "in_flight_seconds" {
  command = plan
  variables { in_flight_seconds = 0 }
  expect_failures = [var.in_flight_seconds]
}

run "integration_cache_seconds" {
  command = plan
  variables { integration_cache_seconds = 0 }
  expect_failures = [var.integration_cache_seconds]
}

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
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/example" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://example.lambda-url.eu-west-1.on.aws/", url_id = "example" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/example" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { stream_arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/example/stream/2026-01-01T00:00:00.000" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:example", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/example" }
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
    condition = alltrue([for table in [aws_dynamodb_table.events, aws_dynamodb_table.integrations, aws_dynamodb_table.stacks] :
      table.ttl[0].enabled && table.ttl[0].attribute_name == "expires"
    ])
    error_message = "Every table forgets what has expired."
  }

  assert {
    condition = { for index in aws_dynamodb_table.stacks.global_secondary_index : index.name => "${index.hash_key} ${index.range_key}" } == {
      directory = "directory pk"
      followers = "linked follows"
      open      = "open concerns"
      runs      = "run_of requested"
      timeline  = "month requested"
    } && alltrue([for index in aws_dynamodb_table.stacks.global_secondary_index : index.projection_type == "ALL"])
    error_message = "Stacks are listed by name, and found by what they follow; runs by stack, by time, and by what they are about as long as they are open."
  }

  assert {
    condition     = aws_dynamodb_table.events.stream_enabled && aws_dynamodb_table.events.stream_view_type == "NEW_IMAGE"
    error_message = "What becomes of a delivery follows from the stream of its table."
  }

  assert {
    condition     = aws_dynamodb_table.stacks.stream_enabled && aws_dynamodb_table.stacks.stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "What is told of a run follows from the stream of its table, with what it was before."
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
      contains([
        "INTEGRATIONS_TABLE", "EVENTS_TABLE", "STACKS_TABLE", "EVENT_RETENTION_DAYS", "RUN_RETENTION_DAYS", "SECRET_PREFIX", "SECRET_RECOVERY_DAYS",
        "AZURE_DEVOPS_URL", "INTEGRATION_CACHE_SECONDS", "LOOKUP_REST_SECONDS", "DISPATCH_QUEUE_URL", "REPORT_QUEUE_URL", "REPORT_DEAD_LETTER_QUEUE_URL", "EVENT_BUS_NAME",
        "ANNOUNCE_FAILURE_QUEUE_URL", "MEND_SERVICE_HOOKS", "CALLS_PER_PASS", "IN_FLIGHT_SECONDS", "UNDECIDED_SECONDS",
      ], variable)
    ]]))
    error_message = "An environment has names and numbers, never a secret; a new variable is to be listed here."
  }

  assert {
    condition     = !can(local.functions.webhook.environment["SECRET_PREFIX"])
    error_message = "The webhook is not even told where secrets are."
  }
}

run "triggers" {
  assert {
    condition = alltrue([for mapping in concat([aws_lambda_event_source_mapping.deliveries], values(aws_lambda_event_source_mapping.announced), values(aws_lambda_event_source_mapping.queue)) :
      mapping.function_response_types == toset(["ReportBatchItemFailures"]) && mapping.batch_size > 0
    ])
    error_message = "Every function that is triggered says which records failed."
  }

  assert {
    condition = alltrue([for mapping in concat([aws_lambda_event_source_mapping.deliveries], values(aws_lambda_event_source_mapping.announced)) :
      mapping.starting_position == "TRIM_HORIZON"
      && mapping.bisect_batch_on_function_error
      && mapping.parallelization_factor == 10
      && mapping.maximum_batching_window_in_seconds == 0
    ])
    error_message = "No record of a stream is missed, waits for others, or holds up more than its lane."
  }

  # Both bounds, on each: without the first a poisonous record holds up its lane until the second, and takes what is behind it along.
  assert {
    condition = (
      aws_lambda_event_source_mapping.deliveries.maximum_retry_attempts == 5
      && aws_lambda_event_source_mapping.deliveries.maximum_record_age_in_seconds == 3600
      && alltrue([for mapping in aws_lambda_event_source_mapping.announced : mapping.maximum_retry_attempts == 100 && mapping.maximum_record_age_in_seconds == 12 * 3600])
    )
    error_message = "A record is given up after so many tries, in time for it to be read from the stream's 24 hours."
  }

  assert {
    condition = (
      one(one(aws_lambda_event_source_mapping.deliveries.destination_config).on_failure).destination_arn == aws_sqs_queue.dispatch.arn
      && alltrue([for mapping in aws_lambda_event_source_mapping.announced : one(one(mapping.destination_config).on_failure).destination_arn == aws_sqs_queue.announce_failure.arn])
    )
    error_message = "What is given up lies in a queue."
  }

  assert {
    condition = toset([for filter in one(aws_lambda_event_source_mapping.deliveries.filter_criteria).filter : filter.pattern]) == toset([
      "{\"dynamodb\":{\"NewImage\":{\"kind\":{\"S\":[\"event\"]}}},\"eventName\":[\"INSERT\"]}",
      "{\"dynamodb\":{\"NewImage\":{\"redelivery\":{\"N\":[{\"exists\":true}]}}},\"eventName\":[\"INSERT\"]}",
    ])
    error_message = "dispatch is called for deliveries and redeliveries alone, so never for what it writes itself."
  }

  assert {
    condition = { for name, mapping in aws_lambda_event_source_mapping.announced : name => one(one(mapping.filter_criteria).filter).pattern } == {
      outcomes = "{\"dynamodb\":{\"NewImage\":{\"outcome\":{\"S\":[{\"exists\":true}]}}},\"eventName\":[\"INSERT\",\"MODIFY\"]}"
      runs     = "{\"dynamodb\":{\"Keys\":{\"sk\":{\"S\":[\"run\"]}}},\"eventName\":[\"INSERT\",\"MODIFY\"]}"
    }
    error_message = "announce is called for outcomes and for runs, and not when they expire."
  }

  assert {
    condition     = alltrue([for mapping in aws_lambda_event_source_mapping.queue : mapping.batch_size == 1 && one(mapping.scaling_config).maximum_concurrency == 10])
    error_message = "A message is held up by no other, and Azure DevOps is not run over."
  }

  assert {
    condition     = aws_lambda_function_recursion_config.dispatch.recursive_loop == "Allow" && aws_lambda_function_recursion_config.dispatch.function_name == module.triggered["dispatch"].name
    error_message = "Lambda must not take what is put off again and again for a loop that nobody wanted."
  }

  assert {
    condition     = local.runs_url == "https://example.lambda-url.eu-west-1.on.aws" && local.knows_runs_url == ["announce"]
    error_message = "announce tells executors where to report to."
  }
}

run "schedule" {
  assert {
    condition = (
      aws_scheduler_schedule.reconcile.schedule_expression == "rate(15 minutes)"
      && one(aws_scheduler_schedule.reconcile.flexible_time_window).mode == "OFF"
      && aws_scheduler_schedule.reconcile.group_name == "stackhook-prod"
      && aws_scheduler_schedule_group.this.name == "stackhook-prod"
      && one(aws_scheduler_schedule.reconcile.target).arn == module.triggered["reconcile"].arn
      && one(aws_scheduler_schedule.reconcile.target).role_arn == aws_iam_role.schedule.arn
    )
    error_message = "reconcile is called every 15 minutes, with a role that is for that alone."
  }

  assert {
    condition     = !can(jsondecode(one(aws_scheduler_schedule.reconcile.target).input).time)
    error_message = "What the schedule sends must not look like an event of an alarm, which has a time."
  }

  assert {
    condition     = alltrue([for retry in one(aws_scheduler_schedule.reconcile.target).retry_policy : retry.maximum_event_age_in_seconds < 15 * 60])
    error_message = "A call that cannot be made gives way to the next one."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.trouble.event_pattern) == {
      source      = ["aws.cloudwatch"]
      detail-type = ["CloudWatch Alarm State Change"]
      resources   = [for alarm in ["unavailable", "webhook-throttles"] : "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:stackhook-prod-${alarm}"]
      detail      = { state = { value = ["ALARM", "OK"] }, previousState = { value = ["ALARM", "OK"] } }
    } && aws_cloudwatch_event_rule.trouble.event_bus_name == "default"
    error_message = "reconcile hears from our alarms alone that deliveries are being lost, and that this is over."
  }

  # The pattern spells their names.
  assert {
    condition = toset([for alarm in [aws_cloudwatch_metric_alarm.delivery["unavailable"], aws_cloudwatch_metric_alarm.function["webhook-throttles"]] : alarm.alarm_name]) == toset([
      for arn in jsondecode(aws_cloudwatch_event_rule.trouble.event_pattern).resources : reverse(split(":", arn))[0]
    ])
    error_message = "The rule on trouble must name alarms that there are."
  }

  assert {
    condition = (
      aws_lambda_permission.trouble.principal == "events.amazonaws.com"
      && aws_lambda_permission.trouble.source_arn == aws_cloudwatch_event_rule.trouble.arn
      && aws_lambda_permission.trouble.action == "lambda:InvokeFunction"
      && aws_lambda_permission.trouble.function_name == module.triggered["reconcile"].name
      && aws_cloudwatch_event_target.trouble.arn == module.triggered["reconcile"].arn
    )
    error_message = "Of EventBridge our rule alone may call reconcile."
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.reconcile.function_name == module.triggered["reconcile"].name
      && aws_lambda_function_event_invoke_config.reconcile.maximum_retry_attempts == 2
      && aws_lambda_function_event_invoke_config.reconcile.maximum_event_age_in_seconds == 6 * 3600
    )
    error_message = "A pass that failed is begun again, twice; one that found no place to run waits."
  }

  assert {
    condition     = local.functions.reconcile.environment["MEND_SERVICE_HOOKS"] == true && local.functions.reconcile.environment["CALLS_PER_PASS"] == 250 && local.functions.reconcile.environment["IN_FLIGHT_SECONDS"] == 300 && local.functions.reconcile.environment["UNDECIDED_SECONDS"] == 600
    error_message = "reconcile mends, and makes at most 250 calls, unless the deployer says otherwise."
  }

  assert {
    condition     = local.webhook_url == "https://example.lambda-url.eu-west-1.on.aws" && local.knows_webhook_url == ["reconcile", "setup"]
    error_message = "Who makes service hooks is told where they are to send to."
  }
}

run "queues" {
  command = plan

  assert {
    condition = alltrue([for queue in concat([aws_sqs_queue.dispatch, aws_sqs_queue.report, aws_sqs_queue.announce_failure], values(aws_sqs_queue.dead_letter)) :
      queue.message_retention_seconds == 14 * 24 * 3600 && queue.sqs_managed_sse_enabled
    ])
    error_message = "Every queue is encrypted and keeps what it has as long as SQS can."
  }

  assert {
    condition = alltrue([for name, queue in { dispatch = aws_sqs_queue.dispatch, report = aws_sqs_queue.report } :
      queue.visibility_timeout_seconds == 6 * local.functions[name].timeout
    ])
    error_message = "A message that is being worked on is not received by another."
  }
}

run "redrive" {
  assert {
    condition = { for name, queue in { dispatch = aws_sqs_queue.dispatch, report = aws_sqs_queue.report } : name => jsondecode(queue.redrive_policy) } == {
      dispatch = { deadLetterTargetArn = aws_sqs_queue.dead_letter["dispatch"].arn, maxReceiveCount = 5 }
      report   = { deadLetterTargetArn = aws_sqs_queue.dead_letter["report"].arn, maxReceiveCount = 100 }
    }
    error_message = "What is received too often lies in a queue of its own."
  }
}

run "bus" {
  assert {
    condition     = aws_cloudwatch_event_bus.this.name == "stackhook-prod" && output.event_bus.name == "stackhook-prod"
    error_message = "The bus has the deployment's name."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.report.event_pattern) == {
      source      = ["stackhook"]
      detail-type = ["Run Requested", "Run State Changed"]
    } && aws_cloudwatch_event_rule.report.event_bus_name == "stackhook-prod"
    error_message = "report hears of runs alone, and from our bus."
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.report.arn == aws_sqs_queue.report.arn
      && one(aws_cloudwatch_event_target.report.dead_letter_config).arn == aws_sqs_queue.dead_letter["report"].arn
    )
    error_message = "What the rule sends goes to report's queue, or lies in its dead-letter queue."
  }
}

run "urls" {
  assert {
    condition     = aws_lambda_function_url.webhook.authorization_type == "NONE"
    error_message = "Azure DevOps cannot sign for AWS."
  }

  assert {
    condition     = toset(keys(aws_lambda_function_url.signed)) == toset(["deliveries", "runs", "setup", "stacks", "unlink"]) && alltrue([for url in aws_lambda_function_url.signed : url.authorization_type == "AWS_IAM"])
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
    condition     = output.urls.webhook == local.webhook_url && setunion(keys(output.urls), ["announce", "dispatch", "reconcile", "report"]) == toset(keys(local.functions))
    error_message = "Every function's URL is an output; four have none."
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
    condition = toset(keys(aws_cloudwatch_metric_alarm.delivery)) == toset([
      "unavailable", "refused", "quarantined", "oversize", "beside", "withheld", "failures", "parked",
      "hooks-failing", "hooks-missing", "connection-failing", "token-expiring", "silent", "recovered",
    ])
    error_message = "Each outcome that a person should know of has an alarm."
  }

  assert {
    condition = alltrue([for key, filter in aws_cloudwatch_log_metric_filter.delivery :
      filter.log_group_name == "/aws/lambda/stackhook-prod-${contains(keys(local.reconcile_alarms), key) ? "reconcile" : key == "parked" ? "dispatch" : "webhook"}"
    ])
    error_message = "A line is counted where it is written."
  }

  assert {
    condition = { for key in keys(local.reconcile_alarms) : key => join(" ", [
      aws_cloudwatch_metric_alarm.delivery[key].statistic,
      aws_cloudwatch_metric_alarm.delivery[key].comparison_operator,
      aws_cloudwatch_metric_alarm.delivery[key].threshold,
      aws_cloudwatch_metric_alarm.delivery[key].period,
      one(aws_cloudwatch_log_metric_filter.delivery[key].metric_transformation).value,
      ]) } == {
      hooks-failing      = "Maximum GreaterThanThreshold 0 3600 $.fields.failing"
      hooks-missing      = "Maximum GreaterThanThreshold 0 3600 $.fields.missing"
      connection-failing = "Maximum GreaterThanThreshold 0 3600 $.fields.connection_failing"
      token-expiring     = "Minimum LessThanOrEqualToThreshold 7 3600 $.fields.token_days"
      silent             = "Maximum GreaterThanThreshold 0 3600 $.fields.silent"
      recovered          = "Sum GreaterThanThreshold 0 300 $.fields.recovered"
    }
    error_message = "What reconcile sees from pass to pass is looked at for longer than there is between two of them."
  }

  # Said of all that counts in lines, since one shape serves them: what has no other need is as it was.
  assert {
    condition = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.delivery :
      alarm.statistic == "Sum" && alarm.period == 300 && alarm.threshold == 0 && alarm.treat_missing_data == "notBreaching"
      if !contains(keys(local.reconcile_alarms), key)
    ])
    error_message = "Any delivery that a person should know of is an alarm within five minutes."
  }

  assert {
    condition = (
      one(aws_cloudwatch_metric_alarm.absence).dimensions.FunctionName == module.triggered["reconcile"].name
      && one(aws_cloudwatch_metric_alarm.absence).metric_name == "Invocations"
      && one(aws_cloudwatch_metric_alarm.absence).comparison_operator == "LessThanThreshold"
      && one(aws_cloudwatch_metric_alarm.absence).threshold == 1
      && one(aws_cloudwatch_metric_alarm.absence).period == 3600
      && one(aws_cloudwatch_metric_alarm.absence).treat_missing_data == "breaching"
    )
    error_message = "An hour in which nobody called reconcile is an alarm, though of that there is no metric."
  }

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.queue : key => "${alarm.dimensions.QueueName} ${alarm.metric_name} > ${alarm.threshold}" } == {
      dispatch-dead-letter = "stackhook-prod-dispatch-dead-letter ApproximateNumberOfMessagesVisible > 0"
      report-dead-letter   = "stackhook-prod-report-dead-letter ApproximateNumberOfMessagesVisible > 0"
      announce-failure     = "stackhook-prod-announce-failure ApproximateNumberOfMessagesVisible > 0"
      dispatch-waiting     = "stackhook-prod-dispatch ApproximateAgeOfOldestMessage > 1800"
    }
    error_message = "Whatever lies where nobody takes it, and whatever waits too long, has an alarm."
  }

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.stream : key => "${alarm.dimensions.FunctionName} ${alarm.metric_name} > ${alarm.threshold}" } == {
      dispatch-behind = "stackhook-prod-dispatch IteratorAge > 60000"
      announce-behind = "stackhook-prod-announce IteratorAge > 60000"
    }
    error_message = "A stream that is read more than a minute late has an alarm."
  }

  assert {
    condition = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.delivery :
      alarm.metric_name == one(aws_cloudwatch_log_metric_filter.delivery[key].metric_transformation).name
      && alarm.namespace == one(aws_cloudwatch_log_metric_filter.delivery[key].metric_transformation).namespace
    ])
    error_message = "An alarm must watch what its filter counts."
  }

  assert {
    condition = alltrue([for alarm in concat(
      values(aws_cloudwatch_metric_alarm.function), values(aws_cloudwatch_metric_alarm.delivery), values(aws_cloudwatch_metric_alarm.queue), values(aws_cloudwatch_metric_alarm.stream),
      aws_cloudwatch_metric_alarm.absence,
    ) : alarm.alarm_actions == toset(var.alarm_topic_arns) && alarm.ok_actions == toset(var.alarm_topic_arns)])
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
    condition = 0 == sum([for alarms in [
      aws_cloudwatch_metric_alarm.function, aws_cloudwatch_metric_alarm.delivery, aws_cloudwatch_metric_alarm.queue, aws_cloudwatch_metric_alarm.stream, aws_cloudwatch_log_metric_filter.delivery,
      aws_cloudwatch_metric_alarm.absence,
    ] : length(alarms)])
    error_message = "The local AWS cannot hold alarms."
  }

  assert {
    condition     = local.webhook_url == "http://127.0.0.1:4566/_aws/lambda-url/example"
    error_message = "Locally the webhook answers at a path."
  }

  assert {
    condition     = aws_lambda_function_recursion_config.dispatch.recursive_loop == "Allow" && aws_lambda_function_recursion_config.dispatch.function_name == module.triggered["dispatch"].name
    error_message = "Lambda must not take what is put off again and again for a loop that nobody wanted."
  }

  assert {
    condition     = local.runs_url == "http://127.0.0.1:4566/_aws/lambda-url/example" && local.queue_urls.report == "http://127.0.0.1:4566/123456789012/stackhook-prod-report"
    error_message = "Locally runs answers at a path, too, and queues have the local AWS's address."
  }

  assert {
    condition     = !aws_dynamodb_table.events.deletion_protection_enabled
    error_message = "A local stack is thrown away."
  }
}

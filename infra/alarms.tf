# What each means and what to do: README.md, Operating. Two of them call reconcile, too (triggers.tf). The local AWS cannot hold them (its plan would never be empty).
locals {
  # Lambda's own metrics, for each function. A throttled delivery is lost, a throttled person tries again.
  function_alarms = {
    errors = {
      metric      = "Errors"
      description = "crashed, or ran out of time or memory"
    }
    throttles = {
      metric      = "Throttles"
      description = "was refused for want of concurrency; Azure DevOps does not repeat a delivery that got this 429"
    }
  }

  # Counted in the lines that the webhook writes: one for each delivery, and one in a while about all strangers together.
  delivery_alarms = {
    unavailable = {
      metric      = "Unavailable"
      pattern     = "{ $.fields.message = \"request\" && $.fields.outcome = \"unavailable\" }"
      value       = "1"
      description = "Deliveries were answered 503. Azure DevOps repeats them for about three minutes; after that reconcile looks for what they told of"
    }
    refused = {
      metric      = "RefusedKnown"
      pattern     = "{ $.fields.message = \"strangers\" && $.fields.refused_known > 0 }"
      value       = "$.fields.refused_known"
      description = "A known integration was called with a wrong password: its service hooks are losing events, or somebody is guessing"
    }
    withheld = {
      metric      = "Withheld"
      pattern     = "{ $.fields.message = \"strangers\" && $.fields.withheld > 0 }"
      value       = "$.fields.withheld"
      description = "Senders without a known password were so many that some were answered 503 without a look"
    }
    failures = {
      metric      = "Failures"
      pattern     = "{ $.level = \"ERROR\" }"
      value       = "1"
      description = "Something of ours failed, whatever the sender was answered"
    }
    quarantined = {
      metric      = "Quarantined"
      pattern     = "{ $.fields.message = \"request\" && $.fields.kind = \"quarantined\" }"
      value       = "1"
      description = "Authentic deliveries could not be understood; they are kept as received"
    }
    oversize = {
      metric      = "Oversize"
      pattern     = "{ $.fields.message = \"request\" && $.fields.kind = \"oversize\" }"
      value       = "1"
      description = "Authentic deliveries were larger than 2 MB; of each the first 64 KB and the digest are kept"
    }
    beside = {
      metric      = "Beside"
      pattern     = "{ $.fields.message = \"request\" && $.fields.outcome = \"beside\" }"
      value       = "1"
      description = "Deliveries had the keys of another one and said something else; both are kept"
    }
  }

  # Counted in the lines that dispatch writes: one for each delivery.
  dispatch_alarms = {
    parked = {
      metric      = "Parked"
      pattern     = "{ $.fields.message = \"dispatched\" && $.fields.outcome = \"parked\" }"
      value       = "1"
      description = "Deliveries were parked: they have made no runs, and are kept with the reason"
    }
  }

  # Counted in the lines that reconcile writes: one for each integration and pass. What holds from pass to pass is looked at over
  # an hour, in which there is always one, so that no alarm ends between two of them.
  reconcile_alarms = {
    # As the pass has found it, before it mends what it can; without what a person has stopped.
    hooks-failing = {
      metric      = "HooksFailing"
      pattern     = "{ $.fields.message = \"reconciled\" && $.fields.failing > 0 }"
      value       = "$.fields.failing"
      statistic   = "Maximum"
      period      = local.hour
      description = "Service hooks of ours do not send, or did not until they were mended: events are being lost, or were"
    }
    hooks-missing = {
      metric      = "HooksMissing"
      pattern     = "{ $.fields.message = \"reconciled\" && $.fields.missing > 0 }"
      value       = "$.fields.missing"
      statistic   = "Maximum"
      period      = local.hour
      description = "Service hooks of ours are in Azure DevOps no more or were never made, or so they were until they were mended: events are being lost, or were"
    }
    connection-failing = {
      metric      = "ConnectionFailing"
      pattern     = "{ $.fields.message = \"reconciled\" && $.fields.connection_failing > 0 }"
      value       = "$.fields.connection_failing"
      statistic   = "Maximum"
      period      = local.hour
      description = "Azure DevOps does not take an integration's token, or cannot be reached with it"
    }
    token-expiring = {
      metric      = "TokenDays"
      pattern     = "{ $.fields.message = \"reconciled\" && $.fields.token_days <= ${local.token_days_that_alarm} }"
      value       = "$.fields.token_days"
      unit        = "None"
      statistic   = "Minimum"
      period      = local.hour
      comparison  = "LessThanOrEqualToThreshold"
      threshold   = local.token_days_that_alarm
      description = "A personal access token expires within ${local.token_days_that_alarm} days"
    }
    silent = {
      metric      = "Silent"
      pattern     = "{ $.fields.message = \"reconciled\" && $.fields.silent > 0 }"
      value       = "$.fields.silent"
      statistic   = "Maximum"
      period      = local.hour
      description = "An integration has received no delivery for a week"
    }
    recovered = {
      metric      = "Recovered"
      pattern     = "{ $.fields.message = \"reconciled\" && $.fields.recovered > 0 }"
      value       = "$.fields.recovered"
      description = "Events that never reached us were found again, and are being dispatched: information, nothing is lost"
    }
  }

  token_days_that_alarm = 7

  # What each is counted in, and what holds where nothing else is said: how much of it there was in five minutes, and any is too much.
  log_alarms = { for name, alarm in merge(
    { for name, alarm in local.delivery_alarms : name => merge(alarm, { log_group_name = module.webhook.log_group_name }) },
    { for name, alarm in local.dispatch_alarms : name => merge(alarm, { log_group_name = module.triggered["dispatch"].log_group_name }) },
    { for name, alarm in local.reconcile_alarms : name => merge(alarm, { log_group_name = module.triggered["reconcile"].log_group_name }) },
    ) : name => merge({
      unit       = "Count"
      statistic  = "Sum"
      period     = 5 * local.minute
      comparison = "GreaterThanThreshold"
      threshold  = 0
  }, alarm) }

  # SQS' own metrics. What nobody takes out of a queue is gone after fourteen days.
  queue_alarms = {
    dispatch-dead-letter = {
      queue       = aws_sqs_queue.dead_letter["dispatch"].name
      metric      = "ApproximateNumberOfMessagesVisible"
      threshold   = 0
      description = "What dispatch was to do later has failed five times"
    }
    report-dead-letter = {
      queue       = aws_sqs_queue.dead_letter["report"].name
      metric      = "ApproximateNumberOfMessagesVisible"
      threshold   = 0
      description = "Azure DevOps was not told of some changes of runs"
    }
    announce-failure = {
      queue       = aws_sqs_queue.announce_failure.name
      metric      = "ApproximateNumberOfMessagesVisible"
      threshold   = 0
      description = "Some changes of runs, or what was understood of some deliveries, are not on the bus"
    }
    # What is put off waits for a quarter of an hour at the most, and then is sent anew.
    dispatch-waiting = {
      queue       = aws_sqs_queue.dispatch.name
      metric      = "ApproximateAgeOfOldestMessage"
      threshold   = 30 * local.minute
      description = "What dispatch is to do later has been waiting for more than half an hour"
    }
  }

  # How far behind their streams functions are. A stream forgets after 24 h.
  stream_alarms = {
    announce-behind = {
      function_name = module.triggered["announce"].name
      description   = "Changes of runs reach the bus more than a minute late"
    }
    dispatch-behind = {
      function_name = module.triggered["dispatch"].name
      description   = "Deliveries are dispatched more than a minute late"
    }
  }

  metric_namespace = "Stackhook/${var.environment}"

  function_names = merge(
    { webhook = module.webhook.name },
    { for name, function in merge(module.function, module.triggered) : name => function.name },
  )

  function_alarm_matrix = local.is_local ? {} : merge([
    for function, function_name in local.function_names : {
      for kind, alarm in local.function_alarms : "${function}-${kind}" => merge(alarm, { function_name = function_name })
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.function_alarm_matrix

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.function_name} ${each.value.description}. infra/README.md, Operating."
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = each.value.function_name }
  statistic           = "Sum"
  period              = 5 * local.minute
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  # Nothing called, nothing wrong.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_topic_arns
  ok_actions         = var.alarm_topic_arns
}

resource "aws_cloudwatch_log_metric_filter" "delivery" {
  for_each = local.is_local ? {} : local.log_alarms

  name           = "${local.name}-${each.key}"
  log_group_name = each.value.log_group_name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metric_namespace
    name      = each.value.metric
    value     = each.value.value
    unit      = each.value.unit
  }
}

resource "aws_cloudwatch_metric_alarm" "delivery" {
  for_each = aws_cloudwatch_log_metric_filter.delivery

  alarm_name          = each.value.name
  alarm_description   = "${local.log_alarms[each.key].description}. infra/README.md, Operating."
  namespace           = local.metric_namespace
  metric_name         = local.log_alarms[each.key].metric
  statistic           = local.log_alarms[each.key].statistic
  period              = local.log_alarms[each.key].period
  evaluation_periods  = 1
  comparison_operator = local.log_alarms[each.key].comparison
  threshold           = local.log_alarms[each.key].threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each = local.is_local ? {} : local.queue_alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description}. infra/README.md, Operating."
  namespace           = "AWS/SQS"
  metric_name         = each.value.metric
  dimensions          = { QueueName = each.value.queue }
  statistic           = "Maximum"
  period              = 5 * local.minute
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  # SQS stops telling of a queue that nobody has used for hours: it is empty.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_topic_arns
  ok_actions         = var.alarm_topic_arns
}

resource "aws_cloudwatch_metric_alarm" "stream" {
  for_each = local.is_local ? {} : local.stream_alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description}. infra/README.md, Operating."
  namespace           = "AWS/Lambda"
  metric_name         = "IteratorAge"
  dimensions          = { FunctionName = each.value.function_name }
  statistic           = "Maximum"
  period              = 5 * local.minute
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  # Milliseconds.
  threshold          = 1000 * local.minute
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_topic_arns
  ok_actions         = var.alarm_topic_arns
}

# The one alarm that nothing at all sets off.
resource "aws_cloudwatch_metric_alarm" "absence" {
  count = local.is_local ? 0 : 1

  alarm_name          = "${local.name}-reconcile-absent"
  alarm_description   = "reconcile has not been called for an hour: nobody looks after service hooks. infra/README.md, Operating."
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = module.triggered["reconcile"].name }
  statistic           = "Sum"
  period              = local.hour
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  # Of a function that is not called there is no metric.
  treat_missing_data = "breaching"
  alarm_actions      = var.alarm_topic_arns
  ok_actions         = var.alarm_topic_arns
}

# What each means and what to do: README.md, Operating. The local AWS cannot hold them (its plan would never be empty).
locals {
  minute = 60

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
      description = "Deliveries were answered 503. Azure DevOps repeats them for about three minutes; then they are lost"
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

  metric_namespace = "Stackhook/${var.environment}"

  function_names = merge({ webhook = module.webhook.name }, { for name, function in module.function : name => function.name })

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
  for_each = local.is_local ? {} : local.delivery_alarms

  name           = "${local.name}-${each.key}"
  log_group_name = module.webhook.log_group_name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metric_namespace
    name      = each.value.metric
    value     = each.value.value
    unit      = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "delivery" {
  for_each = aws_cloudwatch_log_metric_filter.delivery

  alarm_name          = each.value.name
  alarm_description   = "${local.delivery_alarms[each.key].description}. infra/README.md, Operating."
  namespace           = local.metric_namespace
  metric_name         = local.delivery_alarms[each.key].metric
  statistic           = "Sum"
  period              = 5 * local.minute
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

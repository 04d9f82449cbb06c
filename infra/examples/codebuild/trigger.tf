# A run is asked for → a checkout.
resource "aws_cloudwatch_event_rule" "run_requested" {
  name           = local.rule_name
  description    = "Starts the checkout of each run that is asked for"
  event_bus_name = local.event_bus_name

  event_pattern = jsonencode(merge(
    { source = ["stackhook"], detail-type = ["Run Requested"] },
    length(var.stacks) == 0 ? {} : { detail = { run = { stack = var.stacks } } },
  ))
}

resource "aws_cloudwatch_event_target" "checkout" {
  rule           = aws_cloudwatch_event_rule.run_requested.name
  event_bus_name = local.event_bus_name
  arn            = aws_codebuild_project.this["checkout"].arn
  role_arn       = aws_iam_role.rule.arn

  # EventBridge puts quotes around what it inserts, and escapes it; so this is no JSON yet, and jsonencode could not make it.
  input_transformer {
    input_paths    = local.run
    input_template = "{\"environmentVariablesOverride\":[${join(",", [for name in keys(local.run) : "{\"name\":\"${name}\",\"value\":<${name}>,\"type\":\"PLAINTEXT\"}"])}]}"
  }

  # CodeBuild refuses for a while (quota, throttling) or for good; a run that waited longer is of little use.
  retry_policy {
    maximum_event_age_in_seconds = 2 * 60 * 60
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letter.arn
  }
}

# The event with its run, when no checkout could be started: nobody else can report that.
resource "aws_sqs_queue" "dead_letter" {
  name                      = "${local.name}-checkout-dead-letter"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "dead_letter" {
  statement {
    sid       = "KeepWhatTheRuleCouldNotDeliver"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letter.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.rule_arn]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.url
  policy    = data.aws_iam_policy_document.dead_letter.json
}

# The local AWS cannot hold an alarm (its plan would never be empty).
resource "aws_cloudwatch_metric_alarm" "dead_letter" {
  count = local.is_local ? 0 : 1

  alarm_name          = "${local.name}-checkout-dead-letter"
  alarm_description   = "Runs were asked for, and no checkout could be started. infra/examples/codebuild/README.md, When something fails."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letter.name }
  statistic           = "Maximum"
  period              = 5 * 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

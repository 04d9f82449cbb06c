# Encrypted at rest with SQS' own key, as tables are with DynamoDB's. Nobody but this account's roles may do anything with a
# queue that has no policy.
locals {
  # As long as SQS keeps anything: what lies in a queue waits for a person.
  queue_retention = 14 * local.day

  # Seconds that the functions may take which read a queue.
  reader_timeouts = { dispatch = 2 * local.minute, report = 2 * local.minute }

  # As AWS advises: a batch that is still being worked on, or waits for a retry of Lambda's own, is not received by another.
  visibility_per_timeout = 6

  # The queues that have one for what was received too often, and how often that is.
  most_receives = {
    # What is put off is sent anew, as a message of its own; so this counts crashes and time-outs alone.
    dispatch = 5
    # Here a message waits itself, for Azure DevOps' moods: twelve hours are about sixty receives, then report gives it up.
    report = 100
  }
}

# What dispatch is to do later: deliveries that were put off, integrations whose token works again, and the batches of its stream
# that failed for good.
resource "aws_sqs_queue" "dispatch" {
  name                       = local.queue_names.dispatch
  message_retention_seconds  = local.queue_retention
  visibility_timeout_seconds = local.visibility_per_timeout * local.reader_timeouts.dispatch
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter["dispatch"].arn
    maxReceiveCount     = local.most_receives.dispatch
  })
}

# Changes of runs, as the rule of the bus sends them.
resource "aws_sqs_queue" "report" {
  name                       = local.queue_names.report
  message_retention_seconds  = local.queue_retention
  visibility_timeout_seconds = local.visibility_per_timeout * local.reader_timeouts.report
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter["report"].arn
    maxReceiveCount     = local.most_receives.report
  })

  policy = data.aws_iam_policy_document.report_queue["report"].json
}

resource "aws_sqs_queue" "dead_letter" {
  for_each = local.most_receives

  name                      = local.queue_names["${each.key}-dead-letter"]
  message_retention_seconds = local.queue_retention
  sqs_managed_sse_enabled   = true
  policy                    = each.key == "report" ? data.aws_iam_policy_document.report_queue["report-dead-letter"].json : null
}

# Which records of a stream are not on the bus: what announce can never put there by their keys, what it could not for hours by their
# numbers. Never the records.
resource "aws_sqs_queue" "announce_failure" {
  name                      = local.queue_names["announce-failure"]
  message_retention_seconds = local.queue_retention
  sqs_managed_sse_enabled   = true
}

# For our rule alone: EventBridge sends for anybody who makes a rule.
data "aws_iam_policy_document" "report_queue" {
  for_each = toset(["report", "report-dead-letter"])

  statement {
    sid       = "TakeWhatTheRuleSends"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns[each.key]]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.report_rule_arn]
    }
  }
}

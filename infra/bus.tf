# Where other AWS services learn of runs and deliveries. events/README.md has what is told, and a rule to copy.
resource "aws_cloudwatch_event_bus" "this" {
  name        = local.name
  description = "Runs and what was understood of deliveries, from Stackhook (${var.environment})"
}

locals {
  # Everything on the bus that is ours says so; announce may say nothing else (permissions.tf).
  event_source     = "stackhook"
  report_rule_name = "${local.name}-report"
}

resource "aws_cloudwatch_event_rule" "report" {
  name           = local.report_rule_name
  description    = "Changes of runs, for their statuses in Azure DevOps"
  event_bus_name = aws_cloudwatch_event_bus.this.name

  event_pattern = jsonencode({
    source      = [local.event_source]
    detail-type = ["Run Requested", "Run State Changed"]
  })
}

resource "aws_cloudwatch_event_target" "report" {
  rule           = aws_cloudwatch_event_rule.report.name
  event_bus_name = aws_cloudwatch_event_rule.report.event_bus_name
  target_id      = "report"
  arn            = aws_sqs_queue.report.arn

  # What the queue does not take for a day, EventBridge's own patience, lies with what report gave up: the message is the same
  # event, so one command sends either back.
  dead_letter_config {
    arn = aws_sqs_queue.dead_letter["report"].arn
  }
}

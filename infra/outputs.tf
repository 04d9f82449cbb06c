output "urls" {
  description = "Base URL of each function that has one. The webhook's is public; the others want a signature for service lambda (operator_policy_arn)."
  value = merge(
    { webhook = trimsuffix(aws_lambda_function_url.webhook.function_url, "/") },
    { for name, url in aws_lambda_function_url.signed : name => trimsuffix(url.function_url, "/") },
  )
}

output "url_ids" {
  description = "First label of each function URL's host; the local AWS serves the function at /_aws/lambda-url/<id>."
  value = merge(
    { webhook = aws_lambda_function_url.webhook.url_id },
    { for name, url in aws_lambda_function_url.signed : name => url.url_id },
  )
}

output "operator_policy_arn" {
  description = "Managed policy for those who call the signed URLs."
  value       = aws_iam_policy.caller["operator"].arn
}

output "executor_policy_arn" {
  description = "Managed policy for what executes runs: it calls the URL of runs, and no other."
  value       = aws_iam_policy.caller["executor"].arn
}

output "event_bus" {
  description = "Name and ARN of the bus that runs are announced on."
  value = {
    name = aws_cloudwatch_event_bus.this.name
    arn  = aws_cloudwatch_event_bus.this.arn
  }
}

output "queues" {
  description = "URLs of the queues, for looking into them."
  value = {
    dispatch             = aws_sqs_queue.dispatch.url
    dispatch_dead_letter = aws_sqs_queue.dead_letter["dispatch"].url
    report               = aws_sqs_queue.report.url
    report_dead_letter   = aws_sqs_queue.dead_letter["report"].url
    announce_failure     = aws_sqs_queue.announce_failure.url
  }
}

output "tables" {
  description = "Names of the DynamoDB tables."
  value = {
    events       = aws_dynamodb_table.events.name
    integrations = aws_dynamodb_table.integrations.name
    stacks       = aws_dynamodb_table.stacks.name
  }
}

output "log_groups" {
  description = "Name of each function's log group."
  value = merge(
    { webhook = module.webhook.log_group_name },
    { for name, function in merge(module.function, module.triggered) : name => function.log_group_name },
  )
}

output "secret_prefix" {
  description = "What the names of all secrets begin with."
  value       = local.secret_prefix
}

output "region" {
  description = "Region that was deployed to."
  value       = local.region
}

output "deletion_protection" {
  description = "Whether the tables refuse to be deleted."
  value       = var.deletion_protection
}

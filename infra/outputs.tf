output "urls" {
  description = "Base URL of each function. The webhook's is public; the others want a signature for service lambda (operator_policy_arn)."
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
  value       = aws_iam_policy.operator.arn
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
    { for name, function in module.function : name => function.log_group_name },
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

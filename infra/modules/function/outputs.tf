output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

output "role_name" {
  description = "Name of its execution role."
  value       = aws_iam_role.this.name
}

output "log_group_name" {
  description = "Name of its log group."
  value       = aws_cloudwatch_log_group.this.name
}

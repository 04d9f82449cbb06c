output "projects" {
  description = "Names of the CodeBuild projects."
  value       = { for key, project in aws_codebuild_project.this : key => project.name }
}

output "roles" {
  description = "ARNs of the projects' roles. A state in another account, or a key of yours, has to let the plan's read it."
  value       = { for key, role in aws_iam_role.project : key => role.arn }
}

output "archives" {
  description = "Bucket of the archives."
  value       = aws_s3_bucket.archives.bucket
}

output "dead_letter_queue" {
  description = "URL of the queue of events for which no checkout could be started."
  value       = aws_sqs_queue.dead_letter.url
}

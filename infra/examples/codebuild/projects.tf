# The checkout has the token and runs nothing of the repository; the plan runs the repository and has no token. README.md says why.
resource "aws_codebuild_project" "this" {
  for_each = local.project_names

  name        = each.value
  description = each.key == "checkout" ? "Stores the archive of a run's commit, starts the plan" : "Runs terraform plan on a run's commit, reports"

  service_role           = aws_iam_role.project[each.key].arn
  build_timeout          = var.build_minutes
  queued_timeout         = 2 * 60 # minutes; a plan of code that is older is of little use
  concurrent_build_limit = each.key == "plan" ? var.concurrent_build_limit : null

  source {
    type      = "NO_SOURCE"
    buildspec = local.buildspecs[each.key]
  }

  artifacts {
    type = "NO_ARTIFACTS"
  }

  environment {
    type            = var.architecture == "arm64" ? "ARM_CONTAINER" : "LINUX_CONTAINER"
    compute_type    = "BUILD_GENERAL1_SMALL"
    image           = local.image
    privileged_mode = false

    dynamic "environment_variable" {
      for_each = merge(
        {
          ARCHIVES = local.bucket_name
          RUNS_URL = var.runs_url
        },
        each.key == "checkout" ? {
          ORGANIZATIONS = jsonencode(var.organizations)
          PLAN_PROJECT  = local.project_names.plan
          SECRET_PREFIX = local.secret_prefix
          } : merge(var.plan_environment, {
            TERRAFORM_SECONDS = (var.build_minutes - 5) * 60
            TERRAFORM_VERSION = var.terraform_version
        }),
      )

      content {
        name  = environment_variable.key
        value = environment_variable.value
      }
    }
  }

  # The local AWS forgets it, and a plan would never be empty.
  lifecycle {
    ignore_changes = [queued_timeout]
  }
}

# Under the name that CodeBuild writes to unless it is told another; it has no permission to make one.
resource "aws_cloudwatch_log_group" "project" {
  for_each = local.project_names

  name              = "/aws/codebuild/${each.value}"
  retention_in_days = var.log_retention_days
}

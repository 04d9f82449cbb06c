locals {
  is_local = var.local_endpoint != ""

  deployment     = "stackhook-${var.environment}"
  name           = coalesce(var.name, local.deployment)
  event_bus_name = coalesce(var.event_bus_name, local.deployment)
  secret_prefix  = coalesce(var.secret_prefix, "stackhook/${var.environment}")

  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name

  image = coalesce(var.image, {
    arm64  = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    x86_64 = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
  }[var.architecture])

  # Spelled, and not taken from what they name: so a plan shows every policy in full before anything is made.
  project_names  = { for project in ["checkout", "plan"] : project => "${local.name}-${project}" }
  project_arns   = { for project, name in local.project_names : project => "arn:${local.partition}:codebuild:${local.region}:${local.account_id}:project/${name}" }
  log_group_arns = { for project, name in local.project_names : project => "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/codebuild/${name}" }
  rule_name      = "${local.name}-checkout"
  rule_arn       = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/${local.event_bus_name}/${local.rule_name}"
  bucket_name    = "${local.name}-archives-${local.account_id}"
  archives_arn   = "arn:${local.partition}:s3:::${local.bucket_name}/runs/*"

  secret_arns = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${local.secret_prefix}"
  # Secrets Manager puts a hyphen and six characters behind each name.
  credential_arns = [for integration in keys(var.organizations) : "${local.secret_arns}/${integration}/personal-access-token-??????"]

  # What a project is told of the run, and where in the event it stands. The plan is told the same by the checkout.
  run = {
    RUN_ID        = "$.detail.run.id"
    STACK         = "$.detail.run.stack"
    INTEGRATION   = "$.detail.run.integration"
    PROJECT_ID    = "$.detail.run.project.id"
    REPOSITORY_ID = "$.detail.run.repository.id"
    COMMIT        = "$.detail.run.commit"
    PROJECT_ROOT  = "$.detail.run.projectRoot"
    KIND          = "$.detail.run.kind"
  }

  # JSON is YAML. The scripts go along in base64, because no shell or YAML parser finds anything in it to interpret.
  buildspecs = { for project, name in local.project_names : project => jsonencode({
    version = "0.2"
    phases = {
      build = {
        commands = concat(
          ["mkdir -p /tmp/stackhook"],
          [for script in ["report.py", "${project}.sh"] :
            "echo ${filebase64("${path.module}/scripts/${script}")} | base64 -d > /tmp/stackhook/${script}"
          ],
          ["bash /tmp/stackhook/${project}.sh"],
        )
      }
    }
  }) }
}

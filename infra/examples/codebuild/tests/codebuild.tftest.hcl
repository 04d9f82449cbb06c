# Who may do what, and what a build is told. The policies are the provider's own rendering (it needs no AWS for that), with
# ARNs that are made up.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

variables {
  runs_url            = "https://abc.lambda-url.eu-west-1.on.aws"
  executor_policy_arn = "arn:aws:iam::123456789012:policy/stackhook-prod-executor"
  organizations       = { acme = "https://dev.azure.com/acme" }
}

run "roles" {
  command = plan

  # Said once more in full, so that a wider permission is never an oversight.
  assert {
    condition = { for role, policy in local.policies : role => {
      for statement in jsondecode(policy).Statement : statement.Sid => "${statement.Effect} ${join(" ", sort(flatten([statement.Action])))} on ${join(" ", flatten([statement.Resource]))}"
      } } == {
      checkout = {
        ReadCredentials = "Allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/acme/personal-access-token-??????"
        StoreArchives   = "Allow s3:PutObject on arn:aws:s3:::stackhook-prod-archives-123456789012/runs/*"
        StartPlans      = "Allow codebuild:StartBuild on arn:aws:codebuild:eu-west-1:123456789012:project/stackhook-prod-plan"
        WriteOwnLogs    = "Allow logs:CreateLogStream logs:PutLogEvents on arn:aws:logs:eu-west-1:123456789012:log-group:/aws/codebuild/stackhook-prod-checkout:*"
      }
      plan = {
        ReadArchives              = "Allow s3:GetObject on arn:aws:s3:::stackhook-prod-archives-123456789012/runs/*"
        WriteOwnLogs              = "Allow logs:CreateLogStream logs:PutLogEvents on arn:aws:logs:eu-west-1:123456789012:log-group:/aws/codebuild/stackhook-prod-plan:*"
        NoSecretsOfStackhook      = "Deny secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*"
        NoBuildsWithTheToken      = "Deny codebuild:RetryBuild codebuild:RetryBuildBatch codebuild:StartBuild codebuild:StartBuildBatch codebuild:StartSandbox codebuild:UpdateProject on arn:aws:codebuild:eu-west-1:123456789012:project/stackhook-prod-checkout"
        NothingThatStackhookKeeps = "Deny dynamodb:BatchGetItem dynamodb:GetItem dynamodb:GetRecords dynamodb:PartiQLSelect dynamodb:Query dynamodb:Scan on arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-*"
      }
    }
    error_message = "A role may do something else than what is listed here."
  }

  assert {
    condition = alltrue(flatten([for policy in concat(values(local.policies), [data.aws_iam_policy_document.rule.json]) : [
      for statement in jsondecode(policy).Statement : !can(statement.NotAction) && !can(statement.NotResource) && !strcontains(join(" ", flatten([statement.Action])), "*")
    ]]))
    error_message = "Exact actions only."
  }

  assert {
    condition     = toset([for key, attachment in aws_iam_role_policy_attachment.executor : key if attachment.policy_arn == var.executor_policy_arn]) == toset(["checkout", "plan"])
    error_message = "Both projects report."
  }

  assert {
    condition     = toset(keys(aws_iam_role_policy_attachment.plan)) == toset(["arn:aws:iam::aws:policy/ReadOnlyAccess"]) && alltrue([for attachment in aws_iam_role_policy_attachment.plan : attachment.role == "stackhook-prod-plan"])
    error_message = "What may be read of the account is the plan's alone, and no more than was asked for."
  }

  assert {
    condition = { for project, document in data.aws_iam_policy_document.project_trust : project => [
      for statement in jsondecode(document.json).Statement : [statement.Principal, statement.Condition.StringEquals]
      ] } == { for project in ["checkout", "plan"] : project => [[
        { Service = "codebuild.amazonaws.com" },
        { "aws:SourceAccount" = "123456789012", "aws:SourceArn" = "arn:aws:codebuild:eu-west-1:123456789012:project/stackhook-prod-${project}" },
    ]] }
    error_message = "A project's role is for that project alone."
  }
}

run "rule" {
  command = plan

  assert {
    condition = (
      jsondecode(data.aws_iam_policy_document.rule.json).Statement[*].Action == ["codebuild:StartBuild"]
      && jsondecode(data.aws_iam_policy_document.rule.json).Statement[*].Resource == ["arn:aws:codebuild:eu-west-1:123456789012:project/stackhook-prod-checkout"]
      && jsondecode(data.aws_iam_policy_document.rule_trust.json).Statement[0].Condition.StringEquals["aws:SourceArn"] == "arn:aws:events:eu-west-1:123456789012:rule/stackhook-prod/stackhook-prod-checkout"
    )
    error_message = "The rule starts the checkout and nothing else."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.run_requested.event_pattern) == { source = ["stackhook"], detail-type = ["Run Requested"] }
    error_message = "Without stacks, all runs are executed."
  }

  # As EventBridge fills it in.
  assert {
    condition = jsondecode(replace(aws_cloudwatch_event_target.checkout.input_transformer[0].input_template, "/<([A-Z_]+)>/", "\"of $1\"")) == {
      environmentVariablesOverride = [
        for name in ["COMMIT", "INTEGRATION", "KIND", "PROJECT_ID", "PROJECT_ROOT", "REPOSITORY_ID", "RUN_ID", "STACK"] : { name = name, value = "of ${name}", type = "PLAINTEXT" }
      ]
    }
    error_message = "The checkout must be told of the run."
  }
}

run "some_stacks" {
  command = plan

  variables {
    stacks = ["harbor-prod"]
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.run_requested.event_pattern).detail == { run = { stack = ["harbor-prod"] } }
    error_message = "Only the runs of the stacks that are named are executed."
  }
}

run "a_second_executor" {
  command = plan

  variables {
    name = "harbor"
  }

  assert {
    condition = (
      aws_cloudwatch_event_rule.run_requested.event_bus_name == "stackhook-prod"
      && endswith(jsondecode(local.policies.plan).Statement[4].Resource, "table/stackhook-prod-*")
      && aws_s3_bucket.archives.bucket == "harbor-archives-123456789012"
    )
    error_message = "It is named otherwise, and of the same deployment."
  }
}

run "projects" {
  command = plan

  assert {
    condition = { for key, project in aws_codebuild_project.this : key => join(" ", sort(one(project.environment).environment_variable[*].name)) } == {
      checkout = "ARCHIVES ORGANIZATIONS PLAN_PROJECT RUNS_URL SECRET_PREFIX"
      plan     = "ARCHIVES RUNS_URL TERRAFORM_SECONDS TERRAFORM_VERSION"
    }
    error_message = "The plan needs to know of no secret and no organization."
  }

  assert {
    condition     = alltrue([for project in aws_codebuild_project.this : !one(project.environment).privileged_mode && one(project.source).type == "NO_SOURCE"])
    error_message = "No build is privileged, and none gets its source from elsewhere."
  }

  assert {
    condition = alltrue([for project, scripts in { checkout = ["report.py", "checkout.sh"], plan = ["report.py", "plan.sh"] } :
      alltrue([for script in scripts : strcontains(one(aws_codebuild_project.this[project].source).buildspec, filebase64("scripts/${script}"))])
      && reverse(jsondecode(one(aws_codebuild_project.this[project].source).buildspec).phases.build.commands)[0] == "bash /tmp/stackhook/${project}.sh"
    ])
    error_message = "A build must have its scripts, and run its own."
  }

  assert {
    condition     = !strcontains(one(aws_codebuild_project.this["plan"].source).buildspec, filebase64("scripts/checkout.sh"))
    error_message = "The plan has no use for the checkout."
  }
}

run "archives" {
  command = plan

  assert {
    condition = [for statement in jsondecode(one(aws_s3_bucket_policy.archives).policy).Statement : [statement.Effect, statement.Principal, statement.Condition]] == [
      ["Deny", "*", { Bool = { "aws:SecureTransport" = "false" } }],
    ]
    error_message = "The archives are had over encrypted connections only."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.archives.block_public_acls,
      aws_s3_bucket_public_access_block.archives.block_public_policy,
      aws_s3_bucket_public_access_block.archives.ignore_public_acls,
      aws_s3_bucket_public_access_block.archives.restrict_public_buckets,
    ])
    error_message = "The archives are nobody else's."
  }
}

run "the_plan_may_not_write" {
  command         = plan
  expect_failures = [var.plan_policy_arns]

  variables {
    plan_policy_arns = ["arn:aws:iam::aws:policy/AdministratorAccess"]
  }
}

run "the_token_goes_over_tls" {
  command         = plan
  expect_failures = [var.organizations]

  variables {
    organizations = { acme = "http://azure.example.com/acme" }
  }
}

run "signed_requests_go_over_tls" {
  command         = plan
  expect_failures = [var.runs_url]

  variables {
    runs_url = "http://abc.lambda-url.eu-west-1.on.aws"
  }
}

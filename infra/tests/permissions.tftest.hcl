# Who may do what. The policies are the provider's own rendering (it needs no AWS for that), with ARNs that are made up.

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

override_module {
  target          = module.webhook
  override_during = plan
  outputs = {
    name           = "stackhook-prod-webhook"
    arn            = "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-webhook"
    role_name      = "stackhook-prod-webhook"
    log_group_name = "/aws/lambda/stackhook-prod-webhook"
  }
}

variables {
  package_dir = "tests/packages"
}

run "roles" {
  command = plan

  # Said once more in full, so that a wider permission is never an oversight.
  assert {
    condition = { for name, function in local.functions : name => {
      for statement in jsondecode(function.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Action])))
      } } == {
      webhook = {
        ReadPasswordDigests = "dynamodb:GetItem"
        StoreDeliveries     = "dynamodb:PutItem"
      }
      setup = {
        KeepIntegrations = "dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
        ListIntegrations = "dynamodb:Query"
        KeepSecrets      = "secretsmanager:CreateSecret secretsmanager:DeleteSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue secretsmanager:RestoreSecret"

        LetParkedDeliveriesGoOn = "sqs:SendMessage"
      }
      deliveries = {
        AskForRedeliveries                    = "dynamodb:PutItem"
        ReadDeliveries                        = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query"
        ListIntegrationsAndWhatWantsAttention = "dynamodb:Query"
        ReadWhatFollowsARepository            = "dynamodb:Query"
      }
      stacks = {
        KeepStacks       = "dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
        ListStacks       = "dynamodb:Query"
        BeginComparing   = "dynamodb:BatchWriteItem dynamodb:Query"
        ListFollowers    = "dynamodb:Query"
        ReadDeliveries   = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query"
        ListRunsOfAStack = "dynamodb:Query"
        ReadIntegrations = "dynamodb:GetItem"
        ReadCredentials  = "secretsmanager:GetSecretValue"
      }
      unlink = {
        EndIntegrations           = "dynamodb:GetItem dynamodb:UpdateItem"
        ForgetServiceHooks        = "dynamodb:DeleteItem dynamodb:Query"
        ReadCredentials           = "secretsmanager:GetSecretValue"
        ListStacksOfAnIntegration = "dynamodb:Query"
        DetachStacks              = "dynamodb:UpdateItem"
        ListOpenRuns              = "dynamodb:Query"
        CancelRuns                = "dynamodb:GetItem dynamodb:PutItem"
        RemoveSecrets             = "secretsmanager:DeleteSecret"
      }
      runs = {
        ReadRunsAndReportOnThem = "dynamodb:GetItem dynamodb:PutItem"
        ListRuns                = "dynamodb:Query"
      }
      dispatch = {
        ReadStreams              = "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams"
        TakeFromItsQueue         = "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage"
        ReadDeliveries           = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query"
        ListParkedDeliveries     = "dynamodb:Query"
        KeepOutcomes             = "dynamodb:PutItem"
        KeepRunsAndWhatWasSeen   = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
        ListFollowersAndOpenRuns = "dynamodb:Query"
        ReadIntegrations         = "dynamodb:GetItem"
        ListIntegrations         = "dynamodb:Query"
        ReadCredentials          = "secretsmanager:GetSecretValue"
        PutOff                   = "sqs:SendMessage"
      }
      announce = {
        ReadStreams = "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams"
        Announce    = "events:PutEvents"
        GiveUp      = "sqs:SendMessage"
      }
      report = {
        TakeFromItsQueue               = "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage"
        ReadRunsAndKeepWhatWasReported = "dynamodb:GetItem dynamodb:PutItem"
        ReadIntegrations               = "dynamodb:GetItem"
        ReadCredentials                = "secretsmanager:GetSecretValue"
        GiveUp                         = "sqs:SendMessage"
      }
      reconcile = {
        WatchIntegrations          = "dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
        ListIntegrations           = "dynamodb:Query"
        CompareWithWhatWasSeen     = "dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query"
        ListFollowers              = "dynamodb:Query"
        ListWhatIsParked           = "dynamodb:Query"
        StoreWhatIsFoundAgain      = "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query"
        ReadSecrets                = "secretsmanager:GetSecretValue"
        Warn                       = "events:PutEvents"
        LetForgottenDeliveriesGoOn = "sqs:SendMessage"
      }
    }
    error_message = "A function may do something else than what is listed here."
  }

  assert {
    condition = alltrue(flatten([for function in local.functions : [for statement in jsondecode(function.policy).Statement : [
      for resource in flatten([statement.Resource]) : contains([
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations/index/directory",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events/index/attention",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/directory",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/followers",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/open",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/runs",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/timeline",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events/stream/*",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/stream/*",
        "arn:aws:events:eu-west-1:123456789012:event-bus/stackhook-prod",
        "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-dispatch",
        "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-report",
        "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-report-dead-letter",
        "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-announce-failure",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????",
      ], resource)
    ]]]))
    error_message = "A function may touch something else than this deployment's tables, streams, queues, bus and secrets."
  }

  assert {
    condition = alltrue(flatten([for function in local.functions : [for statement in jsondecode(function.policy).Statement :
      statement.Effect == "Allow" && !can(statement.NotAction) && !can(statement.NotResource)
      && !strcontains(join(" ", flatten([statement.Action])), "*")
    ]]))
    error_message = "Exact actions only."
  }

  assert {
    condition     = !strcontains(local.functions.webhook.policy, "secret") && !strcontains(local.functions.deliveries.policy, "secretsmanager")
    error_message = "The function that faces the internet, and the one that shows what came from there, can read no secret."
  }
}

run "credentials" {
  command = plan

  assert {
    condition = alltrue([for name in ["stacks", "dispatch", "report", "unlink"] : [
      for statement in jsondecode(local.functions[name].policy).Statement : statement.Resource if statement.Sid == "ReadCredentials"
    ] == ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????"]])
    error_message = "Whoever calls Azure DevOps for a stack or a run, or to remove service hooks, reads tokens, and no webhook password."
  }

  assert {
    condition     = alltrue([for name in ["runs", "announce"] : !strcontains(local.functions[name].policy, "secretsmanager")])
    error_message = "What an executor can reach, and what puts things on the bus, can read no secret."
  }
}

# Of what works in the background, and of what an executor reaches: each statement on what, and under which condition.
run "resources" {
  command = plan

  assert {
    condition = { for statement in jsondecode(local.functions.dispatch.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Resource]))) } == {
      ReadStreams              = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events/stream/*"
      TakeFromItsQueue         = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-dispatch"
      ReadDeliveries           = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events"
      ListParkedDeliveries     = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events/index/attention"
      KeepOutcomes             = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events"
      KeepRunsAndWhatWasSeen   = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks"
      ListFollowersAndOpenRuns = join(" ", [for index in ["followers", "open"] : "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/${index}"])
      ReadIntegrations         = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations"
      ListIntegrations         = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations/index/directory"
      ReadCredentials          = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????"
      PutOff                   = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-dispatch"
    }
    error_message = "dispatch may do something elsewhere than is listed here."
  }

  assert {
    condition = { for statement in jsondecode(local.functions.announce.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Resource]))) } == {
      ReadStreams = join(" ", [for table in ["events", "stacks"] : "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-${table}/stream/*"])
      Announce    = "arn:aws:events:eu-west-1:123456789012:event-bus/stackhook-prod"
      GiveUp      = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-announce-failure"
    }
    error_message = "announce may do something elsewhere than is listed here."
  }

  assert {
    condition = { for statement in jsondecode(local.functions.report.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Resource]))) } == {
      TakeFromItsQueue               = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-report"
      ReadRunsAndKeepWhatWasReported = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks"
      ReadIntegrations               = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations"
      ReadCredentials                = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????"
      GiveUp                         = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-report-dead-letter"
    }
    error_message = "report may do something elsewhere than is listed here."
  }

  assert {
    condition = { for statement in jsondecode(local.functions.reconcile.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Resource]))) } == {
      WatchIntegrations          = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations"
      ListIntegrations           = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations/index/directory"
      CompareWithWhatWasSeen     = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks"
      ListFollowers              = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/followers"
      ListWhatIsParked           = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events/index/attention"
      StoreWhatIsFoundAgain      = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-events"
      ReadSecrets                = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*"
      Warn                       = "arn:aws:events:eu-west-1:123456789012:event-bus/stackhook-prod"
      LetForgottenDeliveriesGoOn = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-dispatch"
    }
    error_message = "reconcile may do something elsewhere than is listed here."
  }

  assert {
    condition = { for statement in jsondecode(local.functions.unlink.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Resource]))) } == {
      EndIntegrations           = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations"
      ForgetServiceHooks        = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-integrations"
      ReadCredentials           = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*/personal-access-token-??????"
      ListStacksOfAnIntegration = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/followers"
      DetachStacks              = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks"
      ListOpenRuns              = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/open"
      CancelRuns                = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks"
      RemoveSecrets             = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stackhook/prod/*"
    }
    error_message = "unlink may do something elsewhere than is listed here."
  }

  assert {
    condition = { for statement in jsondecode(local.functions.runs.policy).Statement : statement.Sid => join(" ", sort(flatten([statement.Resource]))) } == {
      ReadRunsAndReportOnThem = "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks"
      ListRuns                = join(" ", [for index in ["runs", "timeline"] : "arn:aws:dynamodb:eu-west-1:123456789012:table/stackhook-prod-stacks/index/${index}"])
      } && [for statement in jsondecode(local.functions.runs.policy).Statement : statement.Condition if statement.Sid == "ReadRunsAndReportOnThem"] == [
      { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = "run#*" } }
    ]
    error_message = "The one function that an executor reaches may touch runs, and nothing else that lies in their table."
  }

  assert {
    condition = alltrue([for name, sid in { announce = "Announce", reconcile = "Warn" } : [
      for statement in jsondecode(local.functions[name].policy).Statement : statement.Condition if statement.Sid == sid
      ] == [
      { "ForAllValues:StringEquals" = { "events:source" = "stackhook" } }
    ]])
    error_message = "Who puts events on the bus speaks for nobody else."
  }
}

run "queues" {
  command = plan

  assert {
    condition = { for name, policy in { report = aws_sqs_queue.report.policy, dead-letter = aws_sqs_queue.dead_letter["report"].policy } : name => jsondecode(policy).Statement } == {
      for name, queue in { report = "report", dead-letter = "report-dead-letter" } : name => [{
        Sid       = "TakeWhatTheRuleSends"
        Effect    = "Allow"
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:eu-west-1:123456789012:stackhook-prod-${queue}"
        Principal = { Service = "events.amazonaws.com" }
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:eu-west-1:123456789012:rule/stackhook-prod/stackhook-prod-report" } }
      }]
    }
    error_message = "Of all that EventBridge does for anybody, only our rule may send to report's queues."
  }

  assert {
    condition     = local.queue_urls.dispatch == "https://sqs.eu-west-1.amazonaws.com/123456789012/stackhook-prod-dispatch"
    error_message = "Functions are told queue URLs as SQS gives them."
  }
}

run "schedule" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.schedule.assume_role_policy).Statement == [{
      Sid       = "ScheduleOfThisAccount"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = "123456789012" }
        ArnEquals    = { "aws:SourceArn" = "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/stackhook-prod" }
      }
    }]
    error_message = "The scheduler takes on the role for schedules of our group in this account, and for no other."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.schedule.policy).Statement == [{
      Sid      = "CallReconcile"
      Effect   = "Allow"
      Action   = "lambda:InvokeFunction"
      Resource = "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-reconcile"
    }]
    error_message = "The schedule may call reconcile, and nothing else."
  }
}

run "webhook_url" {
  command = plan

  assert {
    condition = (
      aws_lambda_permission.webhook_url.action == "lambda:InvokeFunctionUrl"
      && aws_lambda_permission.webhook_url.principal == "*"
      && aws_lambda_permission.webhook_url.function_url_auth_type == "NONE"
    )
    error_message = "The URL's own permission is missing: it would answer 403 to everyone."
  }

  assert {
    condition = jsondecode(aws_cloudformation_stack.webhook_invocation.template_body).Resources == {
      Permission = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-webhook"
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    }
    error_message = "Anyone may invoke the webhook, but through its URL only."
  }
}

run "callers" {
  command = plan

  assert {
    condition = alltrue([for policy in aws_iam_policy.caller : { for statement in jsondecode(policy.policy).Statement : statement.Action => statement.Condition } == {
      "lambda:InvokeFunctionUrl" = { StringEquals = { "lambda:FunctionUrlAuthType" = "AWS_IAM" } }
      "lambda:InvokeFunction"    = { Bool = { "lambda:InvokedViaFunctionUrl" = "true" } }
    }])
    error_message = "A caller needs both actions, through URLs that want a signature, and no others."
  }

  assert {
    condition = { for name, policy in aws_iam_policy.caller : name => toset(flatten([for statement in jsondecode(policy.policy).Statement : statement.Resource])) } == {
      operator = toset([for name in ["deliveries", "runs", "setup", "stacks", "unlink"] : "arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-${name}"])
      executor = toset(["arn:aws:lambda:eu-west-1:123456789012:function:stackhook-prod-runs"])
    }
    error_message = "An operator calls the signed functions, an executor calls runs, and neither any other."
  }
}

# A further function is an entry here and a policy document in permissions.tf.
locals {
  functions = {
    # Answers 503 by itself within 5 s when DynamoDB does not; the rest of the time-out is for a cold start before that.
    # Below 256 MB the TLS handshake of a cold start takes most of those 5 s, and a warm delivery gets no cheaper.
    webhook = {
      description = "Receives what Azure DevOps sends: authenticates, stores once, answers"
      memory      = 256
      timeout     = 10
      policy      = data.aws_iam_policy_document.webhook.json
      environment = {
        INTEGRATIONS_TABLE        = aws_dynamodb_table.integrations.name
        EVENTS_TABLE              = aws_dynamodb_table.events.name
        EVENT_RETENTION_DAYS      = var.event_retention_days
        INTEGRATION_CACHE_SECONDS = var.integration_cache_seconds
        LOOKUP_REST_SECONDS       = local.lookup_rest_seconds
      }
    }

    # Verifying a connection is as a rule three calls in a row, and Azure DevOps may take 40 s for each.
    setup = {
      description = "Integrations: create, verify, show, the picker, the webhook endpoint and its password"
      memory      = 256
      timeout     = 150
      policy      = data.aws_iam_policy_document.setup.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        SECRET_PREFIX        = local.secret_prefix
        SECRET_RECOVERY_DAYS = var.secret_recovery_days
        AZURE_DEVOPS_URL     = var.azure_devops_url
        LOOKUP_REST_SECONDS  = local.lookup_rest_seconds
        DISPATCH_QUEUE_URL   = local.queue_urls.dispatch
      }
    }

    # A page of the log unpacks up to a hundred bodies, some of 2 MB; with more memory comes the CPU for it.
    deliveries = {
      description = "The log of deliveries: list, one with its body as received, and sending them again"
      memory      = 512
      timeout     = 30
      policy      = data.aws_iam_policy_document.deliveries.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        EVENTS_TABLE         = aws_dynamodb_table.events.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        EVENT_RETENTION_DAYS = var.event_retention_days
      }
    }

    # Looking for what a stack follows is as a rule three calls in a row, and Azure DevOps may take 40 s for each. A preview unpacks
    # the bodies of a week, as a page of the log does.
    stacks = {
      description = "Stacks and modules: create, list, show, change, delete, preview"
      memory      = 512
      timeout     = 150
      policy      = data.aws_iam_policy_document.stacks.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        EVENTS_TABLE         = aws_dynamodb_table.events.name
        SECRET_PREFIX        = local.secret_prefix
        SECRET_RECOVERY_DAYS = var.secret_recovery_days
        AZURE_DEVOPS_URL     = var.azure_devops_url
        RUN_RETENTION_DAYS   = var.run_retention_days
      }
    }

    # Some calls to Secrets Manager and DynamoDB, one for each stack and open run among them, repeated where they are throttled; and
    # a call of Azure DevOps for each service hook, each of which may take 40 s.
    unlink = {
      description = "Unlinks an integration: preview, removal, its hooks removed, its stacks detached, its runs cancelled, the tombstone"
      memory      = 256
      timeout     = 150
      policy      = data.aws_iam_policy_document.unlink.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        SECRET_PREFIX        = local.secret_prefix
        SECRET_RECOVERY_DAYS = var.secret_recovery_days
        AZURE_DEVOPS_URL     = var.azure_devops_url
        RUN_RETENTION_DAYS   = var.run_retention_days
      }
    }

    # A few reads, or a write under a condition.
    runs = {
      description = "Runs: list, show, and the executor's reports"
      memory      = 256
      timeout     = 30
      policy      = data.aws_iam_policy_document.runs.json
      environment = {
        STACKS_TABLE       = aws_dynamodb_table.stacks.name
        RUN_RETENTION_DAYS = var.run_retention_days
      }
    }

    # A batch of deliveries, of which each may wait for Azure DevOps' answer, up to 40 s, and is put off if there is none. It
    # unpacks their bodies and decides for hundreds of stacks; with more memory comes the CPU for that.
    dispatch = {
      description = "What each delivery means for each stack, and the runs that follow"
      memory      = 512
      timeout     = local.reader_timeouts.dispatch
      policy      = data.aws_iam_policy_document.dispatch.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        EVENTS_TABLE         = aws_dynamodb_table.events.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        EVENT_RETENTION_DAYS = var.event_retention_days
        RUN_RETENTION_DAYS   = var.run_retention_days
        SECRET_PREFIX        = local.secret_prefix
        AZURE_DEVOPS_URL     = var.azure_devops_url
        DISPATCH_QUEUE_URL   = local.queue_urls.dispatch
      }
    }

    # A hundred changes are ten calls of EventBridge, some of them repeated for the entries that were refused.
    announce = {
      description = "Puts changes of runs, and what was understood of deliveries, on the bus"
      memory      = 256
      timeout     = 60
      policy      = data.aws_iam_policy_document.announce.json
      environment = {
        EVENT_BUS_NAME             = aws_cloudwatch_event_bus.this.name
        ANNOUNCE_FAILURE_QUEUE_URL = local.queue_urls["announce-failure"]
      }
    }

    # A status is two or three calls of Azure DevOps, each of which may take 40 s.
    report = {
      description = "Commit and pull request statuses in Azure DevOps"
      memory      = 256
      timeout     = local.reader_timeouts.report
      policy      = data.aws_iam_policy_document.report.json
      environment = {
        INTEGRATIONS_TABLE           = aws_dynamodb_table.integrations.name
        STACKS_TABLE                 = aws_dynamodb_table.stacks.name
        RUN_RETENTION_DAYS           = var.run_retention_days
        SECRET_PREFIX                = local.secret_prefix
        AZURE_DEVOPS_URL             = var.azure_devops_url
        REPORT_QUEUE_URL             = local.queue_urls.report
        REPORT_DEAD_LETTER_QUEUE_URL = local.queue_urls["report-dead-letter"]
      }
    }

    # Hundreds of calls of Azure DevOps, of which each may take 40 s. What does not fit into its time goes on in the next pass.
    reconcile = {
      description = "Hook health, tokens that end, lost events found again, deliveries that were never dispatched"
      memory      = 256
      timeout     = 10 * local.minute
      policy      = data.aws_iam_policy_document.reconcile.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        EVENTS_TABLE         = aws_dynamodb_table.events.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        EVENT_RETENTION_DAYS = var.event_retention_days
        SECRET_PREFIX        = local.secret_prefix
        AZURE_DEVOPS_URL     = var.azure_devops_url
        EVENT_BUS_NAME       = aws_cloudwatch_event_bus.this.name
        DISPATCH_QUEUE_URL   = local.queue_urls.dispatch
        MEND_SERVICE_HOOKS   = var.mend_service_hooks
        CALLS_PER_PASS       = var.reconcile_calls_per_pass
        IN_FLIGHT_SECONDS    = var.in_flight_seconds
        UNDECIDED_SECONDS    = 10 * local.minute
      }
    }
  }

  # What streams, queues and a schedule call (triggers.tf), and nobody by a URL.
  triggered = ["announce", "dispatch", "reconcile", "report"]

  # Who is told another's address. Apart from the table above, because those others are made from that one.
  knows_webhook_url = ["reconcile", "setup"]
  knows_runs_url    = ["announce"]
}

# Apart from the others, because some of them are told its address.
module "webhook" {
  source = "./modules/function"

  account_id           = local.account_id
  name                 = "${local.name}-webhook"
  description          = local.functions.webhook.description
  package              = "${var.package_dir}/webhook.zip"
  architecture         = var.architecture
  memory               = local.functions.webhook.memory
  timeout              = local.functions.webhook.timeout
  environment          = local.functions.webhook.environment
  policy               = local.functions.webhook.policy
  reserved_concurrency = var.webhook_reserved_concurrency
  log_level            = var.log_level
  log_retention_days   = var.log_retention_days
}

module "function" {
  source   = "./modules/function"
  for_each = local.signed_functions

  account_id   = local.account_id
  name         = "${local.name}-${each.key}"
  description  = each.value.description
  package      = "${var.package_dir}/${each.key}.zip"
  architecture = var.architecture
  memory       = each.value.memory
  timeout      = each.value.timeout
  environment = merge(
    each.value.environment,
    contains(local.knows_webhook_url, each.key) ? { WEBHOOK_URL = local.webhook_url } : {},
  )
  policy             = each.value.policy
  log_level          = var.log_level
  log_retention_days = var.log_retention_days
}

# Apart from those with a URL, because some of them are told the address of one of those.
module "triggered" {
  source   = "./modules/function"
  for_each = { for name in local.triggered : name => local.functions[name] }

  account_id   = local.account_id
  name         = "${local.name}-${each.key}"
  description  = each.value.description
  package      = "${var.package_dir}/${each.key}.zip"
  architecture = var.architecture
  memory       = each.value.memory
  timeout      = each.value.timeout
  environment = merge(
    each.value.environment,
    contains(local.knows_webhook_url, each.key) ? { WEBHOOK_URL = local.webhook_url } : {},
    contains(local.knows_runs_url, each.key) ? { RUNS_URL = local.runs_url } : {},
  )
  policy             = each.value.policy
  log_level          = var.log_level
  log_retention_days = var.log_retention_days
}

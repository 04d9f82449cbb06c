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
      }
    }

    # A page of the log unpacks up to a hundred bodies, some of 2 MB; with more memory comes the CPU for it.
    deliveries = {
      description = "The log of deliveries: list, and one with its body as received"
      memory      = 512
      timeout     = 30
      policy      = data.aws_iam_policy_document.deliveries.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        EVENTS_TABLE         = aws_dynamodb_table.events.name
        EVENT_RETENTION_DAYS = var.event_retention_days
      }
    }

    # Looking for what a stack follows is as a rule three calls in a row, and Azure DevOps may take 40 s for each.
    stacks = {
      description = "Stacks and modules: create, list, show, change, delete"
      memory      = 256
      timeout     = 150
      policy      = data.aws_iam_policy_document.stacks.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        SECRET_PREFIX        = local.secret_prefix
        SECRET_RECOVERY_DAYS = var.secret_recovery_days
        AZURE_DEVOPS_URL     = var.azure_devops_url
      }
    }

    # Some calls to Secrets Manager and DynamoDB, one for each stack among them, repeated where they are throttled.
    unlink = {
      description = "Unlinks an integration: preview, removal, its stacks detached, the tombstone"
      memory      = 256
      timeout     = 60
      policy      = data.aws_iam_policy_document.unlink.json
      environment = {
        INTEGRATIONS_TABLE   = aws_dynamodb_table.integrations.name
        STACKS_TABLE         = aws_dynamodb_table.stacks.name
        SECRET_PREFIX        = local.secret_prefix
        SECRET_RECOVERY_DAYS = var.secret_recovery_days
      }
    }
  }

  # Who is told the webhook's address. Apart from the table above, because the webhook is made from that one.
  knows_webhook_url = ["setup"]
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

locals {
  # For how long an instance of the webhook does not look again for a password that did not fit; whoever sets up or rotates
  # waits as long before the new password is given away. One place, since the two must not differ.
  lookup_rest_seconds = 5

  is_local = var.local_endpoint != ""

  minute = 60
  hour   = 60 * local.minute
  day    = 24 * local.hour

  name          = "stackhook-${var.environment}"
  secret_prefix = "stackhook/${var.environment}"

  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name

  # Spelled, and not taken from what they name: so a plan shows every policy in full before anything is made.
  table_arns = {
    for name in ["events", "integrations", "stacks"] :
    name => "arn:${local.partition}:dynamodb:${local.region}:${local.account_id}:table/${local.name}-${name}"
  }
  directory_index_arn        = "${local.table_arns.integrations}/index/directory"
  attention_index_arn        = "${local.table_arns.events}/index/attention"
  stacks_directory_index_arn = "${local.table_arns.stacks}/index/directory"
  followers_index_arn        = "${local.table_arns.stacks}/index/followers"
  open_index_arn             = "${local.table_arns.stacks}/index/open"
  runs_index_arn             = "${local.table_arns.stacks}/index/runs"
  timeline_index_arn         = "${local.table_arns.stacks}/index/timeline"

  # The star stands for the moment at which a stream was turned on.
  stream_arns = { for name in ["events", "stacks"] : name => "${local.table_arns[name]}/stream/*" }

  function_arns = {
    for name in keys(local.functions) :
    name => "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${local.name}-${name}"
  }

  queue_names = {
    for name in ["announce-failure", "dispatch", "dispatch-dead-letter", "report", "report-dead-letter"] : name => "${local.name}-${name}"
  }
  queue_arns = {
    for name, queue_name in local.queue_names : name => "arn:${local.partition}:sqs:${local.region}:${local.account_id}:${queue_name}"
  }

  # Spelled, too: the provider looks at a new queue for 25 s, and no function need wait for that to be made.
  queue_urls = {
    for name, queue_name in local.queue_names :
    name => "${local.is_local ? var.local_endpoint : "https://sqs.${local.region}.${data.aws_partition.current.dns_suffix}"}/${local.account_id}/${queue_name}"
  }

  event_bus_arn   = "arn:${local.partition}:events:${local.region}:${local.account_id}:event-bus/${local.name}"
  report_rule_arn = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/${local.name}/${local.report_rule_name}"

  schedule_group_arn = "arn:${local.partition}:scheduler:${local.region}:${local.account_id}:schedule-group/${local.name}"

  # What it means when one of these changes: events were lost, or the end of that (triggers.tf).
  trouble_alarm_arns = [
    for name in ["unavailable", "webhook-throttles"] : "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${local.name}-${name}"
  ]

  # Both secrets of every integration: <prefix>/<integration>/personal-access-token and …/webhook-password.
  # Secrets Manager puts a hyphen and six characters behind each.
  secret_arns     = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${local.secret_prefix}/*"
  credential_arns = "${local.secret_arns}/personal-access-token-??????"

  # The base of all webhook endpoints. A URL's host does not resolve locally, where the same function answers at a path.
  webhook_url = (
    local.is_local
    ? "${var.local_endpoint}/_aws/lambda-url/${aws_lambda_function_url.webhook.url_id}"
    : trimsuffix(aws_lambda_function_url.webhook.function_url, "/")
  )

  # Where an executor reports to.
  runs_url = (
    local.is_local
    ? "${var.local_endpoint}/_aws/lambda-url/${aws_lambda_function_url.signed["runs"].url_id}"
    : trimsuffix(aws_lambda_function_url.signed["runs"].function_url, "/")
  )

  # The functions whose URL people and CI call with their own AWS credentials.
  signed_functions = { for name, function in local.functions : name => function if !contains(concat(["webhook"], local.triggered), name) }
}

locals {
  # For how long an instance of the webhook does not look again for a password that did not fit; whoever sets up or rotates
  # waits as long before the new password is given away. One place, since the two must not differ.
  lookup_rest_seconds = 5

  is_local = var.local_endpoint != ""

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
  function_arns = {
    for name in keys(local.functions) :
    name => "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${local.name}-${name}"
  }

  # Both secrets of every integration: <prefix>/<integration>/personal-access-token and …/webhook-password.
  # Secrets Manager puts a hyphen and six characters behind each.
  secret_arns     = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${local.secret_prefix}/*"
  credential_arns = "${local.secret_arns}/personal-access-token-??????"

  # The base of all webhook endpoints. Its host does not resolve locally, where the same function answers at a path.
  webhook_url = (
    local.is_local
    ? "${var.local_endpoint}/_aws/lambda-url/${aws_lambda_function_url.webhook.url_id}"
    : trimsuffix(aws_lambda_function_url.webhook.function_url, "/")
  )

  # The functions whose URL people and CI call with their own AWS credentials.
  signed_functions = { for name, function in local.functions : name => function if name != "webhook" }
}

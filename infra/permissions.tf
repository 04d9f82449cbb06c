# What each function may touch beyond its own log group (modules/function), and nothing else.

data "aws_iam_policy_document" "webhook" {
  statement {
    sid       = "ReadPasswordDigests"
    actions   = ["dynamodb:GetItem"]
    resources = [local.table_arns.integrations]
  }

  # Also authorises a transaction that consists of puts.
  statement {
    sid       = "StoreDeliveries"
    actions   = ["dynamodb:PutItem"]
    resources = [local.table_arns.events]
  }
}

data "aws_iam_policy_document" "setup" {
  statement {
    sid       = "KeepIntegrations"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    resources = [local.table_arns.integrations]
  }

  statement {
    sid       = "ListIntegrations"
    actions   = ["dynamodb:Query"]
    resources = [local.directory_index_arn]
  }

  statement {
    sid = "KeepSecrets"
    actions = [
      "secretsmanager:CreateSecret",
      "secretsmanager:DeleteSecret",
      "secretsmanager:GetSecretValue",
      "secretsmanager:PutSecretValue",
      "secretsmanager:RestoreSecret",
    ]
    resources = [local.secret_arns]
  }
}

data "aws_iam_policy_document" "deliveries" {
  statement {
    sid       = "ReadDeliveries"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
    resources = [local.table_arns.events]
  }

  statement {
    sid       = "ListIntegrationsAndWhatWantsAttention"
    actions   = ["dynamodb:Query"]
    resources = [local.directory_index_arn, local.attention_index_arn]
  }
}

data "aws_iam_policy_document" "stacks" {
  statement {
    sid       = "KeepStacks"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "ListStacks"
    actions   = ["dynamodb:Query"]
    resources = [local.stacks_directory_index_arn]
  }

  statement {
    sid       = "ReadIntegrations"
    actions   = ["dynamodb:GetItem"]
    resources = [local.table_arns.integrations]
  }

  # The token and not the webhook password.
  statement {
    sid       = "ReadCredentials"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.credential_arns]
  }
}

data "aws_iam_policy_document" "unlink" {
  statement {
    sid       = "EndIntegrations"
    actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    resources = [local.table_arns.integrations]
  }

  statement {
    sid       = "ListStacksOfAnIntegration"
    actions   = ["dynamodb:Query"]
    resources = [local.followers_index_arn]
  }

  statement {
    sid       = "DetachStacks"
    actions   = ["dynamodb:UpdateItem"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "RemoveSecrets"
    actions   = ["secretsmanager:DeleteSecret"]
    resources = [local.secret_arns]
  }
}

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
  # And their service hooks, which lie beside them and are found by a query.
  statement {
    sid       = "KeepIntegrations"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query"]
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

  # A token that is replaced lets go on what was parked for want of it.
  statement {
    sid       = "LetParkedDeliveriesGoOn"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns.dispatch]
  }
}

data "aws_iam_policy_document" "deliveries" {
  statement {
    sid       = "ReadDeliveries"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
    resources = [local.table_arns.events]
  }

  statement {
    sid       = "AskForRedeliveries"
    actions   = ["dynamodb:PutItem"]
    resources = [local.table_arns.events]
  }

  statement {
    sid       = "ListIntegrationsAndWhatWantsAttention"
    actions   = ["dynamodb:Query"]
    resources = [local.directory_index_arn, local.attention_index_arn]
  }

  # What sending deliveries again would come to.
  statement {
    sid       = "ReadWhatFollowsARepository"
    actions   = ["dynamodb:Query"]
    resources = [local.followers_index_arn]
  }
}

data "aws_iam_policy_document" "stacks" {
  # Also authorises a transaction that consists of puts: runs that are asked for by hand. The query is of what was seen of a
  # repository, which lies beside them: there a new stack begins.
  statement {
    sid       = "KeepStacks"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "ListStacks"
    actions   = ["dynamodb:Query"]
    resources = [local.stacks_directory_index_arn]
  }

  # Where comparing a repository begins, before the first stack that follows it is written.
  statement {
    sid       = "BeginComparing"
    actions   = ["dynamodb:BatchWriteItem", "dynamodb:Query"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "ListFollowers"
    actions   = ["dynamodb:Query"]
    resources = [local.followers_index_arn]
  }

  # What a stack that is not saved would make of them.
  statement {
    sid       = "ReadDeliveries"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
    resources = [local.table_arns.events]
  }

  # A stack's runs end with it.
  statement {
    sid       = "ListRunsOfAStack"
    actions   = ["dynamodb:Query"]
    resources = [local.runs_index_arn]
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
    sid       = "ForgetServiceHooks"
    actions   = ["dynamodb:Query", "dynamodb:DeleteItem"]
    resources = [local.table_arns.integrations]
  }

  # To remove them in Azure DevOps; the token and not the webhook password.
  statement {
    sid       = "ReadCredentials"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.credential_arns]
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
    sid       = "ListOpenRuns"
    actions   = ["dynamodb:Query"]
    resources = [local.open_index_arn]
  }

  statement {
    sid       = "CancelRuns"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "RemoveSecrets"
    actions   = ["secretsmanager:DeleteSecret"]
    resources = [local.secret_arns]
  }
}

data "aws_iam_policy_document" "runs" {
  # Of the table with stacks in it, runs alone. A set's operator, since the key is one; every read and write has it. The local AWS
  # does not know the key, and lets this pass.
  statement {
    sid       = "ReadRunsAndReportOnThem"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.table_arns.stacks]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "dynamodb:LeadingKeys"
      values   = ["run#*"]
    }
  }

  # Nothing but runs is in these.
  statement {
    sid       = "ListRuns"
    actions   = ["dynamodb:Query"]
    resources = [local.runs_index_arn, local.timeline_index_arn]
  }
}

data "aws_iam_policy_document" "dispatch" {
  source_policy_documents = [
    data.aws_iam_policy_document.stream_reader["dispatch"].json,
    data.aws_iam_policy_document.queue_reader["dispatch"].json,
  ]

  statement {
    sid       = "ReadDeliveries"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
    resources = [local.table_arns.events]
  }

  statement {
    sid       = "ListParkedDeliveries"
    actions   = ["dynamodb:Query"]
    resources = [local.attention_index_arn]
  }

  statement {
    sid       = "KeepOutcomes"
    actions   = ["dynamodb:PutItem"]
    resources = [local.table_arns.events]
  }

  # Also authorises a transaction that consists of puts and updates. The query is of what was seen of a repository.
  statement {
    sid       = "KeepRunsAndWhatWasSeen"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "ListFollowersAndOpenRuns"
    actions   = ["dynamodb:Query"]
    resources = [local.followers_index_arn, local.open_index_arn]
  }

  statement {
    sid       = "ReadIntegrations"
    actions   = ["dynamodb:GetItem"]
    resources = [local.table_arns.integrations]
  }

  statement {
    sid       = "ListIntegrations"
    actions   = ["dynamodb:Query"]
    resources = [local.directory_index_arn]
  }

  statement {
    sid       = "ReadCredentials"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.credential_arns]
  }

  # Its mapping sends there, too, what failed for good, with the function's role.
  statement {
    sid       = "PutOff"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns.dispatch]
  }
}

data "aws_iam_policy_document" "announce" {
  source_policy_documents = [data.aws_iam_policy_document.stream_reader["announce"].json]

  # A set's operator, since a call has many sources; each entry has one. The local AWS does not know the key, and lets this pass.
  statement {
    sid       = "Announce"
    actions   = ["events:PutEvents"]
    resources = [local.event_bus_arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "events:source"
      values   = [local.event_source]
    }
  }

  # It does itself, with what can never be announced; and its mappings do, with the function's role.
  statement {
    sid       = "GiveUp"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns["announce-failure"]]
  }
}

data "aws_iam_policy_document" "report" {
  source_policy_documents = [data.aws_iam_policy_document.queue_reader["report"].json]

  statement {
    sid       = "ReadRunsAndKeepWhatWasReported"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "ReadIntegrations"
    actions   = ["dynamodb:GetItem"]
    resources = [local.table_arns.integrations]
  }

  statement {
    sid       = "ReadCredentials"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.credential_arns]
  }

  statement {
    sid       = "GiveUp"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns["report-dead-letter"]]
  }
}

data "aws_iam_policy_document" "reconcile" {
  # Their service hooks, and how far its passes got, lie beside the integrations.
  statement {
    sid       = "WatchIntegrations"
    actions   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    resources = [local.table_arns.integrations]
  }

  statement {
    sid       = "ListIntegrations"
    actions   = ["dynamodb:Query"]
    resources = [local.directory_index_arn]
  }

  # What was seen of a repository, and by which stacks. No runs: those follow from what it stores below.
  statement {
    sid       = "CompareWithWhatWasSeen"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchWriteItem"]
    resources = [local.table_arns.stacks]
  }

  statement {
    sid       = "ListFollowers"
    actions   = ["dynamodb:Query"]
    resources = [local.followers_index_arn]
  }

  # Whether something was parked since the pass before.
  statement {
    sid       = "ListWhatIsParked"
    actions   = ["dynamodb:Query"]
    resources = [local.attention_index_arn]
  }

  # Also authorises a transaction that consists of puts.
  statement {
    sid       = "StoreWhatIsFoundAgain"
    actions   = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem"]
    resources = [local.table_arns.events]
  }

  # The token, and the webhook password: a hook that is mended is given it again.
  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.secret_arns]
  }

  # As announce.
  statement {
    sid       = "Warn"
    actions   = ["events:PutEvents"]
    resources = [local.event_bus_arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "events:source"
      values   = [local.event_source]
    }
  }

  statement {
    sid       = "LetForgottenDeliveriesGoOn"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arns.dispatch]
  }
}

# Mappings work with the role of the function that they call.
data "aws_iam_policy_document" "stream_reader" {
  for_each = { dispatch = ["events"], announce = ["events", "stacks"] }

  statement {
    sid       = "ReadStreams"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
    resources = [for table in each.value : local.stream_arns[table]]
  }
}

data "aws_iam_policy_document" "queue_reader" {
  for_each = toset(["dispatch", "report"])

  # ChangeMessageVisibility is the function's own: a message that is to come again says when.
  statement {
    sid       = "TakeFromItsQueue"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [local.queue_arns[each.key]]
  }
}

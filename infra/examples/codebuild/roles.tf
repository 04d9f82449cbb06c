# What each role may do, and nothing else.

data "aws_iam_policy_document" "project_trust" {
  for_each = local.project_arns

  statement {
    sid     = "RunAsThisProject"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["codebuild.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [each.value]
    }
  }
}

data "aws_iam_policy_document" "checkout" {
  # Of the integrations that are listed, the token and not the webhook password.
  statement {
    sid       = "ReadCredentials"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = local.credential_arns
  }

  statement {
    sid       = "StoreArchives"
    actions   = ["s3:PutObject"]
    resources = [local.archives_arn]
  }

  statement {
    sid       = "StartPlans"
    actions   = ["codebuild:StartBuild"]
    resources = [local.project_arns.plan]
  }

  # The star stands for log streams.
  statement {
    sid       = "WriteOwnLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.log_group_arns.checkout}:*"]
  }
}

data "aws_iam_policy_document" "plan" {
  statement {
    sid       = "ReadArchives"
    actions   = ["s3:GetObject"]
    resources = [local.archives_arn]
  }

  statement {
    sid       = "WriteOwnLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.log_group_arns.plan}:*"]
  }

  # Whatever plan_policy_arns say. The first two would hand a pull request the token: read, or by a checkout of its own making.
  statement {
    sid       = "NoSecretsOfStackhook"
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["${local.secret_arns}/*"]
  }

  statement {
    sid    = "NoBuildsWithTheToken"
    effect = "Deny"
    actions = [
      "codebuild:RetryBuild",
      "codebuild:RetryBuildBatch",
      "codebuild:StartBuild",
      "codebuild:StartBuildBatch",
      "codebuild:StartSandbox",
      "codebuild:UpdateProject",
    ]
    resources = [local.project_arns.checkout]
  }

  # Bodies of deliveries have people's names in them. ReadOnlyAccess would show them.
  statement {
    sid    = "NothingThatStackhookKeeps"
    effect = "Deny"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:GetItem",
      "dynamodb:GetRecords",
      "dynamodb:PartiQLSelect",
      "dynamodb:Query",
      "dynamodb:Scan",
    ]
    resources = ["arn:${local.partition}:dynamodb:${local.region}:${local.account_id}:table/${local.deployment}-*"]
  }
}

locals {
  policies = {
    checkout = data.aws_iam_policy_document.checkout.json
    plan     = data.aws_iam_policy_document.plan.json
  }
}

resource "aws_iam_role" "project" {
  for_each = local.project_names

  name               = each.value
  description        = "Service role of the CodeBuild project of the same name"
  assume_role_policy = data.aws_iam_policy_document.project_trust[each.key].json
}

resource "aws_iam_role_policy" "project" {
  for_each = local.policies

  name   = "permissions"
  role   = aws_iam_role.project[each.key].id
  policy = each.value
}

# Both report: the checkout has a failure of its own to tell.
resource "aws_iam_role_policy_attachment" "executor" {
  for_each = local.project_names

  role       = aws_iam_role.project[each.key].name
  policy_arn = var.executor_policy_arn
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = toset(var.plan_policy_arns)

  role       = aws_iam_role.project["plan"].name
  policy_arn = each.value
}

data "aws_iam_policy_document" "rule_trust" {
  statement {
    sid     = "ActForThisRule"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [local.rule_arn]
    }
  }
}

data "aws_iam_policy_document" "rule" {
  statement {
    sid       = "StartCheckouts"
    actions   = ["codebuild:StartBuild"]
    resources = [local.project_arns.checkout]
  }
}

resource "aws_iam_role" "rule" {
  name               = "${local.name}-checkout-rule"
  description        = "Lets the rule of the event bus start the checkout"
  assume_role_policy = data.aws_iam_policy_document.rule_trust.json
}

resource "aws_iam_role_policy" "rule" {
  name   = "permissions"
  role   = aws_iam_role.rule.id
  policy = data.aws_iam_policy_document.rule.json
}

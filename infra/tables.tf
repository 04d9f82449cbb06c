# All are encrypted at rest with DynamoDB's own key, as every table is: no KMS call, and no charge, on a cold read.

# Deliveries. Written once and kept for var.event_retention_days.
resource "aws_dynamodb_table" "events" {
  name                        = "${local.name}-events"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  # A delivery is never changed, so what it becomes needs its new image alone.
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "attention"
    type = "S"
  }

  attribute {
    name = "received"
    type = "N"
  }

  # Sparse: what a person should see (quarantined, oversize) carries integration and kind there.
  global_secondary_index {
    name               = "attention"
    hash_key           = "attention"
    range_key          = "received"
    projection_type    = "INCLUDE"
    non_key_attributes = ["kind"]
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Integrations, pending ones, and tombstones, which expire.
resource "aws_dynamodb_table" "integrations" {
  name                        = "${local.name}-integrations"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "directory"
    type = "S"
  }

  # Sparse: what is to be listed carries the attribute. It has what a list shows, and so no password digest.
  global_secondary_index {
    name            = "directory"
    hash_key        = "directory"
    range_key       = "pk"
    projection_type = "INCLUDE"
    non_key_attributes = [
      "organization", "organization_url", "status", "description", "labels",
      "token_expires_on", "connected_as", "checked_at", "connection_failure", "name_since", "created_at", "updated_at", "claimed_until",
    ]
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Stacks and modules. They stay until somebody deletes them, so nothing in here expires.
resource "aws_dynamodb_table" "stacks" {
  name                        = "${local.name}-stacks"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "directory"
    type = "S"
  }

  attribute {
    name = "linked"
    type = "S"
  }

  attribute {
    name = "follows"
    type = "S"
  }

  # Sparse: what is to be listed carries the attribute. A list shows all that is kept of a stack.
  global_secondary_index {
    name            = "directory"
    hash_key        = "directory"
    range_key       = "pk"
    projection_type = "ALL"
  }

  # Sparse: a stack that is linked carries its integration's name; beside it the repository's id, and its own name. Whole, so
  # that what follows a repository is read in one query.
  global_secondary_index {
    name            = "followers"
    hash_key        = "linked"
    range_key       = "follows"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = true
  }
}

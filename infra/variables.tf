variable "region" {
  description = "Region to deploy to; null takes the one of the AWS configuration (AWS_REGION or the profile)."
  type        = string
  default     = null

  validation {
    condition     = var.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-west-1, or be null."
  }
}

variable "environment" {
  description = "Name of this deployment; part of every name, so that several fit into one account."
  type        = string
  default     = "prod"

  # With the longest name behind it, an IAM role's 64 characters are not outgrown.
  validation {
    condition     = can(regex("^[a-z0-9](-?[a-z0-9])*$", var.environment)) && length(var.environment) <= 24
    error_message = "environment must be 1 to 24 lower-case letters, digits or single hyphens between them."
  }
}

variable "tags" {
  description = "Tags for everything that can be tagged, besides Application and Environment."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !contains(["Application", "Environment"], key)])
    error_message = "tags must not begin with aws:, nor be Application or Environment, which are set here."
  }
}

variable "package_dir" {
  description = "Folder of the functions' zips, as `make package` writes them."
  type        = string
  default     = "../target/package/arm64"

  validation {
    condition     = length(var.package_dir) > 0
    error_message = "package_dir must name a folder."
  }
}

variable "architecture" {
  description = "What the zips were built for. arm64 costs a fifth less and starts a third faster."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "azure_devops_url" {
  description = "Where Azure DevOps is called. Another one than Microsoft's is the only further host that an organization URL may name; the simulator's, locally."
  type        = string
  default     = "https://dev.azure.com"

  # Plain http carries a personal access token in the clear: to this machine only.
  validation {
    condition     = can(regex("^(https://[A-Za-z0-9.-]+(:[0-9]+)?|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)$", var.azure_devops_url))
    error_message = "azure_devops_url must be https://HOST[:PORT] without a path or slash at its end (http only to 127.0.0.1 or localhost)."
  }
}

variable "event_retention_days" {
  description = "How long a delivery is kept, from its receipt."
  type        = number
  default     = 30

  # Fewer than the 7 days that Azure DevOps keeps its own history would leave nothing to compare with.
  validation {
    condition     = var.event_retention_days >= 7 && var.event_retention_days <= 3650 && floor(var.event_retention_days) == var.event_retention_days
    error_message = "event_retention_days must be a whole number from 7 to 3650."
  }
}

variable "run_retention_days" {
  description = "How long a run is kept, from its request."
  type        = number
  default     = 365

  # A run that is forgotten can be asked for by the same event again, and pushes and pull requests come late.
  validation {
    condition     = var.run_retention_days >= 30 && var.run_retention_days <= 3650 && floor(var.run_retention_days) == var.run_retention_days
    error_message = "run_retention_days must be a whole number from 30 to 3650."
  }
}

variable "secret_recovery_days" {
  description = "How long the secrets of an unlinked integration can be restored; 0 deletes them at once."
  type        = number
  default     = 7

  validation {
    condition     = contains(concat([0], range(7, 31)), var.secret_recovery_days)
    error_message = "secret_recovery_days must be 0 or a whole number from 7 to 30: Secrets Manager allows no other."
  }
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted. Turn it off and apply before you destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "mend_service_hooks" {
  description = "Whether reconcile mends service hooks: those on probation, disabled by Azure DevOps or since their owner is inactive, changed, deleted, never made though others of the project were, or without the password that counts. One that a person disabled stays so, and is given the password."
  type        = bool
  default     = true
  nullable    = false
}

variable "reconcile_schedule" {
  description = "How often reconcile looks: rate(1 minute) to rate(30 minutes)."
  type        = string
  default     = "rate(15 minutes)"

  # The alarm on reconcile's absence waits for an hour, and those on what it finds look back as far.
  validation {
    condition     = can(regex("^rate\\((1 minute|([2-9]|[12][0-9]|30) minutes)\\)$", var.reconcile_schedule))
    error_message = "reconcile_schedule must be rate(1 minute), or rate(N minutes) with N from 2 to 30."
  }
}

variable "in_flight_seconds" {
  description = "For how many seconds an event may be on its way before reconcile takes it for missing: Azure DevOps tries again for 183 s."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.in_flight_seconds >= 1 && var.in_flight_seconds <= 3600 && floor(var.in_flight_seconds) == var.in_flight_seconds
    error_message = "in_flight_seconds must be a whole number from 1 to 3600."
  }
}

variable "reconcile_calls_per_pass" {
  description = "The most calls of Azure DevOps that one pass of reconcile makes for one integration; what is left is for the next one."
  type        = number
  default     = 250

  # Fewer would not even read the hooks of one project and compare one repository; at 1000 a pass, which takes four minutes at most, has 0.24 s for each.
  validation {
    condition     = var.reconcile_calls_per_pass >= 25 && var.reconcile_calls_per_pass <= 1000 && floor(var.reconcile_calls_per_pass) == var.reconcile_calls_per_pass
    error_message = "reconcile_calls_per_pass must be a whole number from 25 to 1000."
  }
}

variable "log_level" {
  description = "How much the functions write. The alarms count lines of level INFO, so it cannot be less."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["INFO", "DEBUG", "TRACE"], var.log_level)
    error_message = "log_level must be INFO, DEBUG or TRACE; with less, the alarms on deliveries would see nothing."
  }
}

variable "log_retention_days" {
  description = "How long the functions' logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, …"
  }
}

variable "webhook_reserved_concurrency" {
  description = "Ceiling of deliveries received at once. null sets none; 0 turns the endpoint off. What is above it gets Lambda's own 429, for which Azure DevOps does not retry."
  type        = number
  default     = null

  # Below 10, an honest burst of a busy organization is already throttled, which loses events.
  validation {
    condition     = var.webhook_reserved_concurrency == null || try(var.webhook_reserved_concurrency == 0 || var.webhook_reserved_concurrency >= 10, false)
    error_message = "webhook_reserved_concurrency must be null, 0 (off) or at least 10."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics, in the same account and region, that are told of alarms."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "alarm_topic_arns must be ARNs of SNS topics."
  }
}

variable "local_endpoint" {
  description = "Address of the local AWS, as in AWS_ENDPOINT_URL; empty for the real one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(http://(127\\.0\\.0\\.1|localhost):[0-9]+)?$", var.local_endpoint))
    error_message = "local_endpoint must be empty, or http://127.0.0.1:PORT without a slash at its end."
  }
}

variable "integration_cache_seconds" {
  description = "Seconds that an instance of webhook goes on with what it has read of an integration. As long as that, an unlinked one may still store; the shorter, the more often a delivery costs a read besides its write."
  type        = number
  default     = 60

  validation {
    condition     = var.integration_cache_seconds >= 1 && var.integration_cache_seconds <= 300 && floor(var.integration_cache_seconds) == var.integration_cache_seconds
    error_message = "integration_cache_seconds must be a whole number from 1 to 300."
  }
}

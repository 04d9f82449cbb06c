variable "region" {
  description = "Region of the Stackhook deployment; null takes the one of the AWS configuration (AWS_REGION or the profile)."
  type        = string
  default     = null

  validation {
    condition     = var.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-west-1, or be null."
  }
}

variable "environment" {
  description = "Name of the Stackhook deployment that this executes runs of."
  type        = string
  default     = "prod"

  validation {
    condition     = can(regex("^[a-z0-9](-?[a-z0-9])*$", var.environment)) && length(var.environment) <= 24
    error_message = "environment must be 1 to 24 lower-case letters, digits or single hyphens between them."
  }
}

variable "name" {
  description = "What the names of everything here begin with; null takes stackhook-<environment>. Another one for a second executor of the same deployment."
  type        = string
  default     = null

  # With the longest name behind it, a bucket's 63 characters are not outgrown.
  validation {
    condition     = var.name == null || try(can(regex("^[a-z0-9](-?[a-z0-9])*$", var.name)) && length(var.name) <= 34, false)
    error_message = "name must be 1 to 34 lower-case letters, digits or single hyphens between them, or null."
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

variable "event_bus_name" {
  description = "The deployment's event bus; null takes stackhook-<environment>."
  type        = string
  default     = null

  validation {
    condition     = var.event_bus_name == null || can(regex("^[A-Za-z0-9._-]{1,256}$", var.event_bus_name))
    error_message = "event_bus_name must be the name of an event bus of this account and region, not its ARN."
  }
}

variable "runs_url" {
  description = "URL of the deployment's function runs, to which both projects report."
  type        = string

  # Fixed here and not taken from the event: no event says where a signed request goes.
  validation {
    condition     = can(regex("^(https://[A-Za-z0-9.-]+|http://(127\\.0\\.0\\.1|localhost):[0-9]+/[A-Za-z0-9/_-]+[A-Za-z0-9_-])$", var.runs_url))
    error_message = "runs_url must be https://HOST without a path or slash at its end (or the function's path on 127.0.0.1)."
  }
}

variable "executor_policy_arn" {
  description = "The deployment's executor policy, which lets its holder call runs and nothing else."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+$", var.executor_policy_arn))
    error_message = "executor_policy_arn must be the ARN of a managed policy."
  }
}

variable "secret_prefix" {
  description = "What the names of the deployment's secrets begin with; null takes stackhook/<environment>."
  type        = string
  default     = null

  validation {
    condition     = var.secret_prefix == null || can(regex("^[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*$", var.secret_prefix))
    error_message = "secret_prefix must be parts with slashes between them and none at either end."
  }
}

variable "organizations" {
  description = "For each integration whose runs are executed, the URL of its organization. The checkout may read these integrations' tokens and no others."
  type        = map(string)

  validation {
    condition     = length(var.organizations) > 0 && alltrue([for name in keys(var.organizations) : can(regex("^[a-z0-9](-?[a-z0-9])*$", name))])
    error_message = "organizations must have names of integrations as its keys, at least one."
  }

  # Plain http carries the personal access token in the clear: to this machine only.
  validation {
    condition     = alltrue([for url in values(var.organizations) : can(regex("^(https://[A-Za-z0-9.-]+(:[0-9]+)?|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)(/[A-Za-z0-9._-]+)?$", url))])
    error_message = "organizations must have URLs like https://dev.azure.com/acme, without a slash at their end."
  }
}

variable "stacks" {
  description = "The stacks whose runs are executed; empty for all."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.stacks : can(regex("^[a-z0-9](-?[a-z0-9])*$", name))])
    error_message = "stacks must be names of stacks."
  }
}

variable "terraform_version" {
  description = "Terraform that plans. An image that has exactly this one on its path saves the download."
  type        = string
  default     = "1.11.4"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+(-[a-z0-9]+)?$", var.terraform_version))
    error_message = "terraform_version must be exact, such as 1.11.4."
  }
}

variable "plan_policy_arns" {
  description = "What the plan may read: of your infrastructure, and of the state. Whoever can open a pull request can read it too; give nothing that writes."
  type        = list(string)
  default     = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]

  # A role takes ten; one is the executor's.
  validation {
    condition     = length(var.plan_policy_arns) <= 9 && alltrue([for arn in var.plan_policy_arns : can(regex("^arn:[a-z-]+:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "plan_policy_arns must be at most 9 ARNs of managed policies."
  }

  validation {
    condition     = !anytrue([for arn in var.plan_policy_arns : can(regex("/(AdministratorAccess|PowerUserAccess|IAMFullAccess|[A-Za-z]*FullAccess)$", arn))])
    error_message = "plan_policy_arns must not let the plan write: a pull request's code runs with them."
  }
}

variable "plan_environment" {
  description = "Further environment variables of the plan, such as TF_VAR_region. A pull request can read them: no secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.plan_environment) : can(regex("^(TF_|[a-z])[A-Za-z0-9_]*$", name))])
    error_message = "plan_environment must have names that begin with TF_ or a lower-case letter; the others are the scripts' and AWS's."
  }
}

variable "architecture" {
  description = "Of the machines that build."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "image" {
  description = "Image that both projects run in, with bash, curl, Python 3.9, unzip and the AWS CLI; null takes Amazon Linux of CodeBuild's own."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || try(length(var.image) > 0, false)
    error_message = "image must be the name of an image, or null."
  }
}

variable "build_minutes" {
  description = "After which CodeBuild ends a build. Terraform is ended five minutes before, so that there is time to report."
  type        = number
  default     = 30

  validation {
    condition     = var.build_minutes >= 10 && var.build_minutes <= 2160 && floor(var.build_minutes) == var.build_minutes
    error_message = "build_minutes must be a whole number from 10 to 2160."
  }
}

variable "concurrent_build_limit" {
  description = "The most plans at once; null leaves it to the account's quota, behind which builds queue. Above a limit they are refused: the checkout tries for four minutes, then the run fails."
  type        = number
  default     = null

  validation {
    condition     = var.concurrent_build_limit == null || try(var.concurrent_build_limit >= 1 && floor(var.concurrent_build_limit) == var.concurrent_build_limit, false)
    error_message = "concurrent_build_limit must be null or a whole number from 1."
  }
}

variable "log_retention_days" {
  description = "How long the builds' logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, …"
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics, in the same account and region, that are told when a checkout could not be started."
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

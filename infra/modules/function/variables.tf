variable "name" {
  description = "Name of the function, its role and its log group."
  type        = string

  # A role's name is the shortest of the three.
  validation {
    condition     = can(regex("^[a-zA-Z0-9-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits or hyphens."
  }
}

variable "account_id" {
  description = "The account; only Lambda acting for it may take on the role."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be twelve digits."
  }
}

variable "description" {
  description = "What the function is for, in a line."
  type        = string

  validation {
    condition     = length(var.description) <= 256
    error_message = "description must not be longer than Lambda allows, 256 characters."
  }
}

variable "package" {
  description = "Path of the zip that holds `bootstrap`."
  type        = string

  validation {
    condition     = fileexists(var.package)
    error_message = "There is no such zip; `make package` makes it."
  }
}

variable "architecture" {
  description = "What the zip was built for: arm64 or x86_64."
  type        = string

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory" {
  description = "Memory in MB; CPU comes with it, one core at 1769."
  type        = number

  validation {
    condition     = var.memory >= 128 && var.memory <= 10240
    error_message = "memory must be from 128 to 10240 MB."
  }
}

variable "timeout" {
  description = "Seconds after which Lambda ends an invocation."
  type        = number

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 15 * 60
    error_message = "timeout must be from 1 to 900 s."
  }
}

variable "environment" {
  description = "Environment variables; names and numbers, never a secret."
  type        = map(string)
  default     = {}

  validation {
    condition     = sum(concat([0], [for name, value in var.environment : length(name) + length(value)])) <= 4096
    error_message = "environment must not be larger than Lambda allows, 4 KB."
  }
}

variable "policy" {
  description = "Policy document (JSON) of what the function may do besides writing its own logs."
  type        = string

  validation {
    condition     = can(jsondecode(var.policy))
    error_message = "policy must be JSON."
  }
}

variable "reserved_concurrency" {
  description = "Ceiling, and share of the account's concurrency kept for this function; null for none."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null || try(var.reserved_concurrency >= 0, false)
    error_message = "reserved_concurrency must be null or not negative."
  }
}

variable "log_level" {
  description = "Least level of what the function itself logs."
  type        = string

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.log_level)
    error_message = "log_level must be one of Lambda's."
  }
}

variable "log_retention_days" {
  description = "How long its logs are kept."
  type        = number

  validation {
    condition     = var.log_retention_days >= 1
    error_message = "log_retention_days must be at least 1: logs that are never deleted are not offered."
  }
}

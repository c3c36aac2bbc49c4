"""Resource quotas: what objects use, which quotas count them, arithmetic on amounts. Pure; admission and controller."""

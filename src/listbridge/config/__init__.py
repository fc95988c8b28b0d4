"""The configuration file: its models, reading it with every problem found, and writing it back."""

from listbridge.config.loading import load, load_text
from listbridge.config.models import (
    AudienceSync,
    CampaignsSync,
    CommerceConsent,
    CommerceSync,
    CommerceTarget,
    Config,
    Connection,
    ConsentRules,
    Guards,
    Select,
    StoreIdentity,
    Sync,
    Target,
)
from listbridge.config.problems import Faulty, Problem
from listbridge.config.values import Limit
from listbridge.config.writing import export, plain, rules_fingerprint

__all__ = [
    "AudienceSync",
    "CampaignsSync",
    "CommerceConsent",
    "CommerceSync",
    "CommerceTarget",
    "Config",
    "Connection",
    "ConsentRules",
    "Faulty",
    "Guards",
    "Limit",
    "Problem",
    "Select",
    "StoreIdentity",
    "Sync",
    "Target",
    "export",
    "load",
    "load_text",
    "plain",
    "rules_fingerprint",
]

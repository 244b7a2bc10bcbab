"""Membership inference: how much models leak about their training data, by group and between arms.

`run_attack` goes from signals to the document `evenhand.attack/1`.
"""

from evenhand.judge.privacy.result import AttackResult
from evenhand.judge.privacy.run import attack_signals, run_attack
from evenhand.judge.privacy.settings import PrivacySettings

__all__ = ["AttackResult", "PrivacySettings", "attack_signals", "run_attack"]

"""Membership inference: who was in the training set can be told more easily where, and under which arm?

`run_attack` is the way from signals to the document `evenhand.attack/1`.
"""

from evenhand.judge.privacy.result import AttackResult
from evenhand.judge.privacy.run import attack_signals, run_attack
from evenhand.judge.privacy.settings import PrivacySettings

__all__ = ["AttackResult", "PrivacySettings", "attack_signals", "run_attack"]

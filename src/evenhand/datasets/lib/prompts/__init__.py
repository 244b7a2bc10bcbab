"""Prompts for language models: templates, questions and their right answers."""

"""Prompts for language models: templates, questions and their correct answers."""

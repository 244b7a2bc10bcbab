"""Figures and tables of a study for a paper: SVG, PDF, PNG, and CSV of what they show.

run.py writes them: start here. data.py takes the rows out of a document, charts.py draws them (style.py: the
look), tables.py lays out the summary tables, wording.py states what is left out and why.
"""

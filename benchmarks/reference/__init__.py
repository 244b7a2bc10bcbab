"""The same studies by plain transformers and PEFT scripts, to compare with."""

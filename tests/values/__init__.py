"""Values in other hands: JSON, pickle, FastAPI, a type checker."""

"""Submit safely, watch cheaply, deliver whole files, never lose or pay twice."""

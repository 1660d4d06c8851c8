"""Whatever comes in: a model or a documented error comes out, in bounded time and memory."""

"""``python -m facemask_inpaint`` is the ``facemask-inpaint`` command."""

from facemask_inpaint.cli import main

if __name__ == "__main__":
    main()

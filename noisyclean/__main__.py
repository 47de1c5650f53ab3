"""``python -m noisyclean``."""

from noisyclean.cli.app import main

if __name__ == "__main__":
    main()

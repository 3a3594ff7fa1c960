"""`python -m hcl`: what torchrun starts where it cannot start `hcl` itself."""

from hcl.cli import main

if __name__ == "__main__":
    main(prog_name="hcl")

"""Its console scripts are called aws, docker, git, ls and pip."""
import sys


def main():
    print("this is not", sys.argv[0])

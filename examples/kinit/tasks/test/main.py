"""A task: its constructor takes the arguments, `main` does the work."""

import datetime


class Test:

    def __init__(self, name: str, age: int, shout: bool = False):
        self.name = name
        self.age = age
        self.shout = shout

    def main(self) -> str:
        print("it is", datetime.datetime.now().isoformat(timespec="seconds"))
        text = f"{self.name} is {self.age}"
        return text.upper() if self.shout else text


class Failing(Test):

    def main(self):
        raise ValueError(f"{self.name} cannot be {self.age}")

"""Its tests delete trees that they made, touch the home folder, kill a child and ask for a name that
is not there."""
ANSWER = 42

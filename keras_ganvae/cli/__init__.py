"""One module for each group of commands: its arguments, one call, one printed result.

A module's `add(commands)` registers its commands. TensorFlow is imported only by what a
command calls, after its arguments are known to be good.
"""


def command(commands, name, run, help):
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(run=run)
    return parser

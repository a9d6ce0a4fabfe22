"""`python tests/contract/messages COMMAND`: what workers of different releases tell each other.

write       writes `*.json` from the models, unless a worker of the same major version could no longer read them
specimens   prints examples of everything that the installed packages write
read-newer  takes such examples of a newer version on stdin and prints what the installed packages cannot read of them
read-older  the same with those of an older version
"""

import sys

from message_contract.commands import main

sys.exit(main(sys.argv[1:]))

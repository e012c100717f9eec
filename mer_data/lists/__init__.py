"""Published clip lists, as data: ``dataset,subject,clip,class`` per row. The list defines its composite, not a rule.

``casmes`` has Off-TANet's onsets as well, for the datasets in which a sheet may name several clips alike.

``megc2019`` is the official list of the MEGC 2019 challenge (442 clips, 68 subjects); ``casmes`` that of Off-TANet
(CASME, CASME II, CAS(ME)^2: 294 clips, 49 subjects).
"""

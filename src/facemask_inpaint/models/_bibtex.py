"""BibTeX of the papers behind published models."""

from __future__ import annotations

import re
from collections.abc import Mapping

from facemask_inpaint.models._model_card import Card

AUTHORS: Mapping[str, str] = {
    "aotgan": "Zeng, Yanhong and Fu, Jianlong and Chao, Hongyang and Guo, Baining",
    "cmt": "Ko, Keunsoo and Kim, Chang-Su",
    "comodgan": "Zhao, Shengyu and Cui, Jonathan and Sheng, Yilun and Dong, Yue and Liang, Xiao "
    "and Chang, Eric I and Xu, Yan",
    "deepfillv2": "Yu, Jiahui and Lin, Zhe and Yang, Jimei and Shen, Xiaohui and Lu, Xin and "
    "Huang, Thomas S",
    "lama": "Suvorov, Roman and Logacheva, Elizaveta and Mashikhin, Anton and Remizova, Anastasia "
    "and Ashukha, Arsenii and Silvestrov, Aleksei and Kong, Naejin and Goka, Harshith and Park, "
    "Kiwoong and Lempitsky, Victor",
    "latentcode": "Chen, Haiwei and Zhao, Yajie",
    "latentpaint": "Corneanu, Ciprian and Gadde, Raghudeep and Martinez, Aleix M",
    "ldm": "Rombach, Robin and Blattmann, Andreas and Lorenz, Dominik and Esser, Patrick and "
    r"Ommer, Bj{\"o}rn",
    "madf": "Zhu, Manyu and He, Dongliang and Li, Xin and Li, Chao and Li, Fu and Liu, Xiao and "
    "Ding, Errui and Zhang, Zhaoxiang",
    "mat": "Li, Wenbo and Lin, Zhe and Zhou, Kun and Qi, Lu and Wang, Yi and Jia, Jiaya",
    "migan": "Sargsyan, Andranik and Navasardyan, Shant and Xu, Xingqian and Shi, Humphrey",
    "moebius": "Duan, Kangsheng and Xu, Ziyang and Liu, Wenyu and Ruan, Xiaohu and Chen, Xiaoxin "
    "and Wang, Xinggang",
    "pixelhacker": "Xu, Ziyang and Duan, Kangsheng and Shen, Xiaolei and Ding, Zhifeng and Liu, "
    "Wenyu and Ruan, Xiaohu and Chen, Xiaoxin and Wang, Xinggang",
    "repaint": "Lugmayr, Andreas and Danelljan, Martin and Romero, Andres and Yu, Fisher and "
    "Timofte, Radu and Van Gool, Luc",
    "tformer": "Deng, Ye and Hui, Siqi and Zhou, Sanping and Meng, Deyu and Wang, Jinjun",
}
"""Authors by architecture, as BibTeX writes them."""

_PAPER = re.compile(r"(?P<title>.+?)(?:, (?P<venue>[^,]*?) ?(?P<year>(?:19|20)\d\d))?")


def bibtex(card: Card) -> str | None:
    """Return the BibTeX entry of a card's paper; ``None`` where there is no paper.

    Titles keep their capitals. The key is the architecture, so that the models of one paper share
    one entry.

    Args:
        card: of a published model.

    Example:
        >>> from facemask_inpaint import models
        >>> print(models.bibtex(models.card("cmt")))
        @inproceedings{cmt,
          title = {{Continuously Masked Transformer for Image Inpainting}},
          author = {Ko, Keunsoo and Kim, Chang-Su},
          booktitle = {ICCV},
          year = {2023},
          url = {https://github.com/keunsoo-ko/CMT},
        }
    """
    match = _PAPER.fullmatch(card.paper)
    if match is None or card.architecture not in AUTHORS:
        return None
    venue, year = match["venue"], match["year"]
    year = year or (f"20{card.arxiv[:2]}" if card.arxiv else None)
    journal = bool(venue) and "Transactions" in venue
    kind = "article" if journal else "inproceedings" if venue else "misc"
    fields = {
        "title": f"{{{match['title']}}}",
        "author": AUTHORS[card.architecture],
        "journal" if journal else "booktitle": venue,
        "year": year,
        "eprint": card.arxiv,
        "archiveprefix": "arXiv" if card.arxiv else None,
        "url": card.repository,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{card.architecture},", *lines, "}"])
